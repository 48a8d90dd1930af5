"""Rate plans: a draft is edited part by part, then published for ever by an action."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from aforo.adminui.admins import ModelAdmin, ReadOnlyAdmin, ReadOnlyInline, Sent, TabularInline
from aforo.adminui.pages import action
from aforo.errors import DomainError
from pricing.admin.forms import (
    ChargeForm,
    ChargeFormSet,
    GrantForm,
    GrantFormSet,
    RatePlanForm,
    VersionForm,
)
from pricing.models import (
    Charge,
    ChargeMetric,
    GrantTemplate,
    Metric,
    RatePlan,
    RatePlanVersion,
    VersionStatus,
)
from pricing.plans import plans, version_spec
from pricing.plans import plans as pricing_plans


class DraftOnly:
    """Editable while the version is a draft, by those who have the permission."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the version is a draft that the user may change."""
        allowed: bool = super().has_add_permission(request, obj)  # type: ignore[misc]
        return allowed and self._is_draft(obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the version is a draft that the user may change."""
        allowed: bool = super().has_change_permission(request, obj)  # type: ignore[misc]
        return allowed and self._is_draft(obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the version is a draft that the user may change."""
        allowed: bool = super().has_delete_permission(request, obj)  # type: ignore[misc]
        return allowed and self._is_draft(obj)

    def _is_draft(self, obj: object) -> bool:
        return not isinstance(obj, RatePlanVersion) or obj.status == VersionStatus.DRAFT


class ChargeInline(DraftOnly, TabularInline):  # type: ignore[misc]
    model = Charge
    form = ChargeForm
    formset = ChargeFormSet
    extra = 0
    show_change_link = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Charge]:
        """Read the metrics with the charges."""
        charges: QuerySet[Charge] = super().get_queryset(request)
        return charges.prefetch_related("metrics", "feeds__metric").order_by("position", "pk")


class GrantInline(DraftOnly, TabularInline):  # type: ignore[misc]
    model = GrantTemplate
    form = GrantForm
    fields = GrantForm.Meta.fields
    formset = GrantFormSet
    extra = 0

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        """Return the formset, with the metrics of the plan's mode to choose from."""
        formset = super().get_formset(request, obj, **kwargs)
        choice = formset.form.base_fields.get("metric")
        if obj is not None and choice is not None:
            choice.queryset = Metric.objects.filter(livemode=obj.plan.livemode).order_by("code")
        return formset


class FeedInline(ReadOnlyInline):
    model = ChargeMetric
    fields = ["metric", "weight"]
    ordering = ["pk"]
    joined = ["metric"]
    show_change_link = False


class VersionInline(ReadOnlyInline):
    """The versions of a plan, the newest first; they begin by an action of the plan."""

    model = RatePlanVersion
    fields = ["number", "status", "published_at"]
    ordering = ["-number"]
    joined = ["plan"]


class Reporting:
    """Actions that call one service a row and say what came of it."""

    def report(self, request: HttpRequest, name: str, do: Callable[[], RatePlanVersion]) -> None:
        """Call a service, and show its answer or its refusal."""
        try:
            version = do()
        except DomainError as error:
            self.message_user(request, f"{name}: {error.detail}", messages.ERROR)  # type: ignore[attr-defined]
        else:
            text = f"{name}: version {version.number} is {version.status.lower()}."
            self.message_user(request, text, messages.SUCCESS)  # type: ignore[attr-defined]


@admin.register(RatePlan)
class RatePlanAdmin(Reporting, ModelAdmin):  # type: ignore[misc]
    form = RatePlanForm
    list_display = ["code", "name", "currency", "livemode", "created_at"]
    list_filter = ["livemode", "currency"]
    search_fields = ["code", "name"]
    ordering = ["code"]
    inlines = [VersionInline]
    actions = ["begin_draft", "publish_draft"]

    def get_readonly_fields(self, request: HttpRequest, obj: RatePlan | None = None) -> list[str]:
        """Return mode, code and currency of the plan, on which its prices rest."""
        return [] if obj is None else ["livemode", "code", "currency"]

    def add_row(self, sent: Sent) -> RatePlan:
        """Create the plan, with an empty first draft to fill in."""
        spec = version_spec.VersionSpec(charges=())
        return plans.create_rate_plan(**sent.fields, spec=spec).plan

    def change_row(self, sent: Sent) -> None:
        """Rename the plan."""
        plans.rename_rate_plan(
            livemode=sent.row.livemode, code=sent.row.code, name=sent.fields["name"]
        )

    @action(description="Begin the next draft")
    def begin_draft(self, request: HttpRequest, plans: QuerySet[RatePlan]) -> None:
        """Copy the latest version of each chosen plan into a draft."""
        for plan in plans:
            self.report(request, plan.code, partial(pricing_plans.begin_draft, plan=plan))

    @action(description="Publish the draft, for ever")
    def publish_draft(self, request: HttpRequest, plans: QuerySet[RatePlan]) -> None:
        """Publish the draft of each chosen plan."""
        now = timezone.now()
        for plan in plans:
            self.report(
                request,
                plan.code,
                partial(pricing_plans.publish, livemode=plan.livemode, code=plan.code, now=now),
            )


@admin.register(RatePlanVersion)
class RatePlanVersionAdmin(DraftOnly, Reporting, ModelAdmin):  # type: ignore[misc]
    form = VersionForm
    list_display = ["plan", "number", "status", "published_at"]
    list_filter = ["status", "plan__livemode"]
    list_select_related = ["plan"]
    search_fields = ["plan__code"]
    ordering = ["plan__code", "-number"]
    readonly_fields = ["plan", "number", "status", "published_at"]
    # Which version it is stands first.
    fields = [*readonly_fields, *VersionForm.Meta.fields]
    inlines = [ChargeInline, GrantInline]
    actions = ["retire"]

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """List what a deletion takes along; whoever may delete a draft may delete its parts."""
        listed, counts, _, protected = super().get_deleted_objects(objs, request)
        return listed, counts, set(), protected

    def change_row(self, sent: Sent) -> None:
        """Replace what the draft says."""
        parts = {each.member: each.parts() for each in sent.parts if each.has_changed()}
        plans.update_draft(
            livemode=sent.row.plan.livemode,
            code=sent.row.plan.code,
            number=sent.row.number,
            changes=sent.changes | parts,
        )

    def delete_row(self, row: RatePlanVersion) -> None:
        """Discard the draft."""
        plans.discard_draft(livemode=row.plan.livemode, code=row.plan.code, number=row.number)

    @action(description="Retire: off the list, subscriptions keep it")
    def retire(self, request: HttpRequest, versions: QuerySet[RatePlanVersion]) -> None:
        """Retire each chosen version that is published."""
        for version in versions:
            plan = version.plan
            self.report(
                request,
                plan.code,
                partial(
                    plans.retire,
                    livemode=plan.livemode,
                    code=plan.code,
                    number=version.number,
                ),
            )


@admin.register(Charge)
class ChargeAdmin(ReadOnlyAdmin):
    """The charges of all plans, to search; a draft's are edited on its version's page."""

    list_display = ["code", "version", "model", "timing"]
    list_filter = ["model", "version__status"]
    list_select_related = ["version__plan"]
    search_fields = ["code", "version__plan__code"]
    ordering = ["version", "position"]
    inlines = [FeedInline]
