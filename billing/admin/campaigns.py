"""Campaigns in the back office: activated, paused, ended and run by actions, with their
progress.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from aforo.adminui.admins import ReadOnlyAdmin
from aforo.adminui.pages import action
from aforo.errors import DomainError
from billing.campaigns import campaign_runs
from billing.jobs import tasks
from billing.models import CampaignRun, MilestoneWatch
from pricing.admin.campaigns import CampaignPages, bar
from pricing.campaigns import campaigns as pricing_campaigns
from pricing.models import Campaign


@admin.register(Campaign)
class CampaignAdmin(CampaignPages):
    """The form of the catalogue, the actions, and what a campaign has given."""

    actions = ["activate", "pause", "end", "run"]
    readonly_fields = [*CampaignPages.readonly_fields, "progress", "given"]

    def get_fieldsets(self, request: HttpRequest, obj: Campaign | None = None) -> list[Any]:
        """Return the fields, with what a campaign has granted first, once it exists."""
        shown = ["status", "budget_used", "grants_given", "progress", "given"]
        so_far = [] if obj is None else [("So far", {"fields": shown})]
        return [*so_far, *super().get_fieldsets(request, obj)]

    def progress(self, campaign: Campaign) -> SafeString | str:
        """Return the progress of its newest run over everybody."""
        run = campaign_runs.latest_run(campaign)
        return "No run over everybody." if run is None else run_progress(run)

    def given(self, campaign: Campaign) -> SafeString:
        """Return a link to its grants."""
        url = reverse("admin:wallets_campaigngrant_changelist")
        return format_html(
            '<a href="{}?campaign__id__exact={}" class="text-primary-600">Show the grants</a>',
            url,
            campaign.pk,
        )

    @action(description="Activate: let it give")
    def activate(self, request: HttpRequest, campaigns: QuerySet[Campaign]) -> None:
        """Activate each chosen campaign, and begin the run of those for everybody."""
        for campaign in campaigns:
            self._report(request, campaign, partial(_activate, campaign))

    @action(description="Pause: give nothing until it is activated again")
    def pause(self, request: HttpRequest, campaigns: QuerySet[Campaign]) -> None:
        """Pause each chosen campaign."""
        for campaign in campaigns:
            do = partial(
                pricing_campaigns.pause_campaign, livemode=campaign.livemode, code=campaign.code
            )
            self._report(request, campaign, do)

    @action(description="End for good")
    def end(self, request: HttpRequest, campaigns: QuerySet[Campaign]) -> None:
        """End each chosen campaign."""
        for campaign in campaigns:
            do = partial(
                pricing_campaigns.end_campaign, livemode=campaign.livemode, code=campaign.code
            )
            self._report(request, campaign, do)

    @action(description="Run: give to everybody who matches and has not had it")
    def run(self, request: HttpRequest, campaigns: QuerySet[Campaign]) -> None:
        """Begin or resume the run of each chosen campaign, in the background."""
        for campaign in campaigns:
            self._report(request, campaign, partial(_run, campaign))

    def _report(self, request: HttpRequest, campaign: Campaign, do: Callable[[], Campaign]) -> None:
        """Call a service, and report its result or its refusal."""
        try:
            changed = do()
        except DomainError as error:
            self.message_user(request, f"{campaign.code}: {error.detail}", messages.ERROR)
        else:
            text = f"{campaign.code} is {changed.status.lower()}."
            self.message_user(request, text, messages.SUCCESS)


def _activate(campaign: Campaign) -> Campaign:
    activated, run = campaign_runs.activate(
        livemode=campaign.livemode, code=campaign.code, now=timezone.now()
    )
    if run is not None:
        tasks.enqueue(run.pk, tasks.run_campaign)
    return activated


def _run(campaign: Campaign) -> Campaign:
    tasks.enqueue(campaign_runs.begin_run(campaign).pk, tasks.run_campaign)
    return campaign


def run_progress(run: CampaignRun) -> SafeString:
    """Return how many customers a run has done, and how many of them were granted something."""
    text = (
        f"{run.status.lower()}: {run.done} of {run.total} customers, "
        f"{run.granted} granted, {run.skipped} skipped"
    )
    return bar(run.done, max(run.total, 1), text)


@admin.register(CampaignRun)
class CampaignRunAdmin(ReadOnlyAdmin):
    list_display = ["campaign", "created_at", "status", "progress", "finished_at"]
    list_filter = ["status", "campaign__livemode"]
    list_select_related = ["campaign"]
    search_fields = ["campaign__code"]
    ordering = ["-created_at"]

    def progress(self, run: CampaignRun) -> SafeString:
        """Return the progress of the run."""
        return run_progress(run)


@admin.register(MilestoneWatch)
class MilestoneWatchAdmin(ReadOnlyAdmin):
    list_display = ["campaign", "checked_through"]
    list_select_related = ["campaign"]
    ordering = ["-checked_through"]
