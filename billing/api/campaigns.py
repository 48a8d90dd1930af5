"""`/v1/campaigns`: drafted, activated, redeemed, and what they have granted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils import timezone
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.access.models import ApiScope
from aforo.api.fields import (
    CurrencyField,
    DecimalField,
    ExpiryField,
    NothingBody,
    StrictSerializer,
    TimeField,
)
from aforo.api.rows import RowsView
from aforo.api.views import ApiView
from billing.campaigns import campaign_runs
from billing.jobs import tasks
from billing.models import CampaignRun
from pricing.api.catalog import CatalogList, CodeField
from pricing.campaigns import campaign_terms, campaigns
from pricing.models import Campaign, CampaignAudience, CampaignTrigger, CreditKind
from wallets.api.shapes import IssuedAnswer, reply
from wallets.grants import campaign_grants
from wallets.models import CampaignGrant

COUNT_MAX = 2_147_483_647


class CampaignChange(StrictSerializer):
    """The terms of a campaign; what is left out of a change stays as it is.

    One grant is an `amount` of a `currency`, or a `quantity` of a `metric`. TOP_UP grants
    `match_percent` of what was paid, in its `currency`. `budget` is in the grant's own money or
    units. `redemption_code` defaults to the campaign's code.
    """

    name = serializers.CharField(max_length=200, required=False)
    trigger = serializers.ChoiceField(choices=CampaignTrigger.choices, required=False)
    audience = serializers.ChoiceField(choices=CampaignAudience.choices, required=False)
    audience_list = serializers.ListField(
        child=serializers.CharField(max_length=64), max_length=10_000, required=False
    )
    starts_at = TimeField(required=False, allow_null=True)
    ends_at = TimeField(required=False, allow_null=True)
    kind = serializers.ChoiceField(choices=[CreditKind.PROMO, CreditKind.BONUS], required=False)
    amount = DecimalField(positive=True, required=False, allow_null=True)
    currency = CurrencyField(required=False, allow_blank=True)
    metric = serializers.CharField(max_length=255, required=False, allow_blank=True)
    quantity = DecimalField(positive=True, required=False, allow_null=True)
    expires_after_days = serializers.IntegerField(
        min_value=1, max_value=36_500, required=False, allow_null=True
    )
    expires_at = ExpiryField(required=False, allow_null=True)
    priority = serializers.IntegerField(min_value=0, max_value=32_767, required=False)
    match_percent = DecimalField(positive=True, required=False, allow_null=True)
    max_per_top_up = DecimalField(positive=True, required=False, allow_null=True)
    milestone_metric = serializers.CharField(max_length=255, required=False, allow_blank=True)
    milestone_quantity = DecimalField(positive=True, required=False, allow_null=True)
    redemption_code = CodeField(required=False, allow_blank=True)
    budget = DecimalField(positive=True, required=False, allow_null=True)
    max_grants = serializers.IntegerField(
        min_value=1, max_value=COUNT_MAX, required=False, allow_null=True
    )
    max_per_customer = serializers.IntegerField(
        min_value=1, max_value=COUNT_MAX, required=False, allow_null=True
    )


class CampaignBody(CampaignChange):
    code = CodeField()
    name = serializers.CharField(max_length=200)
    trigger = serializers.ChoiceField(choices=CampaignTrigger.choices)


def _read_campaign(body: dict[str, Any]) -> dict[str, Any]:
    """Replace an `expires_at` that is only a date by the end of that day in the company's own
    zone.
    """
    if "expires_at" in body:
        zone = ZoneInfo(settings.ENTITY_TIMEZONE)
        body["expires_at"] = ExpiryField.moment_of(body["expires_at"], zone)
    return body


class CampaignAnswer(serializers.ModelSerializer[Campaign]):
    metric = serializers.CharField(source="metric.code", default=None, allow_null=True)
    milestone_metric = serializers.CharField(
        source="milestone_metric.code", default=None, allow_null=True
    )
    audience_list = serializers.ListField(child=serializers.CharField())
    amount = DecimalField(allow_null=True)
    quantity = DecimalField(allow_null=True)
    match_percent = DecimalField(allow_null=True)
    max_per_top_up = DecimalField(allow_null=True)
    milestone_quantity = DecimalField(allow_null=True)
    budget = DecimalField(allow_null=True)
    spent = DecimalField()

    class Meta:
        model = Campaign
        fields = [
            "code", "name", "status", "trigger", "redemption_code", "match_percent",
            "max_per_top_up", "milestone_metric", "milestone_quantity", "audience",
            "audience_list", "starts_at", "ends_at", "kind", "amount", "currency", "metric",
            "quantity", "expires_after_days", "expires_at", "priority", "budget", "spent",
            "max_grants", "grants", "max_per_customer", "created_at",
        ]  # fmt: skip


class CampaignsView(CatalogList):
    names = {"get": "listCampaigns", "post": "createCampaign"}
    refusals = ("code_taken",)
    operation = "billing.campaigns.create"
    model = Campaign
    serializer_class = CampaignAnswer
    filterset_fields = ["status", "trigger"]

    @extend_schema(request=CampaignBody, responses={201: CampaignAnswer})
    def post(self, request: Request) -> HttpResponse:
        """Draft a campaign."""
        body = _read_campaign(self.read(CampaignBody, request))
        content = dict(body)
        code = body.pop("code")
        return self.once(
            request,
            content=content,
            make=lambda: (
                CampaignAnswer(
                    campaigns.create_campaign(
                        livemode=self.livemode,
                        code=code,
                        terms=campaign_terms.CampaignTerms(**body),
                    )
                ).data
            ),
        )


class CampaignView(ApiView):
    scope = ApiScope.CATALOG
    names = {"get": "getCampaign", "patch": "updateCampaign"}
    refusals = ("unknown_campaign", "campaign_not_draft")

    @extend_schema(responses=CampaignAnswer)
    def get(self, request: Request, code: str) -> Response:
        """Return a campaign, and what it has granted of its budget."""
        return Response(
            CampaignAnswer(campaigns.get_campaign(livemode=self.livemode, code=code)).data
        )

    @extend_schema(request=CampaignChange, responses=CampaignAnswer)
    def patch(self, request: Request, code: str) -> Response:
        """Replace terms of a draft; those left out stay."""
        body = _read_campaign(self.read(CampaignChange, request))
        changed = campaigns.update_campaign(livemode=self.livemode, code=code, changes=body)
        return Response(CampaignAnswer(changed).data)


class CampaignMove(ApiView):
    """A step in the life of a campaign."""

    scope = ApiScope.CATALOG

    def move(self, request: Request, code: str, make: Callable[[], object]) -> HttpResponse:
        """Run the step, once per key."""
        self.read(NothingBody, request)
        return self.once(request, content={"code": code}, make=make, status=200)


class ActivateView(CampaignMove):
    names = {"post": "activateCampaign"}
    refusals = ("unknown_campaign", "campaign_over")
    operation = "billing.campaigns.activate"

    @extend_schema(request=None, responses=CampaignAnswer)
    def post(self, request: Request, code: str) -> HttpResponse:
        """Activate a campaign; one for everybody begins its run in the background."""

        def make() -> object:
            campaign, run = campaign_runs.activate(
                livemode=self.livemode, code=code, now=timezone.now()
            )
            if run is not None:
                tasks.enqueue(run.pk, tasks.run_campaign)
            return CampaignAnswer(campaign).data

        return self.move(request, code, make)


class CampaignPauseView(CampaignMove):
    names = {"post": "pauseCampaign"}
    refusals = ("unknown_campaign", "campaign_not_active", "campaign_over")
    operation = "billing.campaigns.pause"

    @extend_schema(request=None, responses=CampaignAnswer)
    def post(self, request: Request, code: str) -> HttpResponse:
        """Pause a campaign: it grants nothing until it is activated again."""

        def make() -> object:
            return CampaignAnswer(campaigns.pause_campaign(livemode=self.livemode, code=code)).data

        return self.move(request, code, make)


class EndView(CampaignMove):
    names = {"post": "endCampaign"}
    refusals = ("unknown_campaign",)
    operation = "billing.campaigns.end"

    @extend_schema(request=None, responses=CampaignAnswer)
    def post(self, request: Request, code: str) -> HttpResponse:
        """End a campaign for good; what it granted stays with the customers."""

        def make() -> object:
            return CampaignAnswer(campaigns.end_campaign(livemode=self.livemode, code=code)).data

        return self.move(request, code, make)


class CampaignRunAnswer(serializers.ModelSerializer[CampaignRun]):
    passed_over = serializers.SerializerMethodField()

    class Meta:
        model = CampaignRun
        fields = [
            "id", "status", "total", "done", "granted", "skipped", "passed_over", "created_at",
            "finished_at",
        ]  # fmt: skip

    def get_passed_over(self, run: CampaignRun) -> list[str]:
        """Return the customers who could not be served; another run reaches them."""
        return campaign_runs.passed_over(run)


class CampaignRunView(CampaignMove):
    names = {"post": "runCampaign"}
    refusals = ("unknown_campaign", "campaign_not_active", "campaign_over", "run_in_progress")
    operation = "billing.campaigns.run"

    @extend_schema(request=None, responses=CampaignRunAnswer)
    def post(self, request: Request, code: str) -> HttpResponse:
        """Run a campaign for everybody who matches by now and has not had it, in the background."""

        def make() -> object:
            run = campaign_runs.begin_run(campaigns.get_campaign(livemode=self.livemode, code=code))
            tasks.enqueue(run.pk, tasks.run_campaign)
            return CampaignRunAnswer(run).data

        return self.move(request, code, make)


class ProgressAnswer(serializers.Serializer[Any]):
    """What a campaign has granted of its budget; `run` is its newest one over everybody."""

    code = serializers.CharField()
    status = serializers.CharField()
    spent = DecimalField()
    budget = DecimalField(allow_null=True)
    unit = serializers.CharField(help_text="The currency or metric of the budget.")
    grants = serializers.IntegerField()
    max_grants = serializers.IntegerField(allow_null=True)
    run = serializers.SerializerMethodField()

    @extend_schema_field(CampaignRunAnswer(allow_null=True))
    def get_run(self, campaign: Campaign) -> dict[str, Any] | None:
        """Return the newest run, if there was one."""
        run = campaign_runs.latest_run(campaign)
        return None if run is None else dict(CampaignRunAnswer(run).data)


class ProgressView(ApiView):
    scope = ApiScope.CATALOG
    names = {"get": "getCampaignProgress"}
    refusals = ("unknown_campaign",)

    @extend_schema(responses=ProgressAnswer)
    def get(self, request: Request, code: str) -> Response:
        """Return the progress of a campaign."""
        return Response(
            ProgressAnswer(campaigns.get_campaign(livemode=self.livemode, code=code)).data
        )


class CampaignGrantAnswer(serializers.ModelSerializer[CampaignGrant]):
    customer_id = serializers.CharField(source="book.key")
    quantity = DecimalField()
    remaining = DecimalField(source="lot.remaining")
    expires_at = serializers.DateTimeField(source="lot.expires_at", allow_null=True)
    lot = serializers.UUIDField(source="lot_id")

    class Meta:
        model = CampaignGrant
        fields = [
            "id", "customer_id", "cause", "quantity", "remaining", "lot", "granted_at",
            "expires_at",
        ]  # fmt: skip


class GrantFilter(filters.FilterSet):
    customer_id = filters.CharFilter(field_name="book__key")

    class Meta:
        model = CampaignGrant
        fields = ["customer_id", "cause"]


class GrantsView(RowsView[CampaignGrant]):
    """The grants of a campaign, with customer and cause, newest first."""

    scope = ApiScope.CATALOG
    names = {"get": "listCampaignGrants"}
    refusals = ("unknown_campaign",)
    serializer_class = CampaignGrantAnswer
    filterset_class = GrantFilter

    def get_queryset(self) -> QuerySet[CampaignGrant]:
        """Return the grants of one campaign."""
        if getattr(self, "swagger_fake_view", False):
            return CampaignGrant.objects.none()
        campaign = campaigns.get_campaign(livemode=self.livemode, code=self.kwargs["code"])
        return CampaignGrant.objects.filter(campaign=campaign)


class RedeemBody(StrictSerializer):
    customer_id = serializers.CharField(max_length=64)
    code = serializers.CharField(max_length=64)
    idempotency_key = serializers.CharField(max_length=255, required=False)


class RedeemedAnswer(IssuedAnswer):
    campaign = serializers.CharField()
    kind = serializers.CharField()


class RedeemView(ApiView):
    scope = ApiScope.WALLETS
    names = {"post": "redeemCampaignCode"}
    refusals = (
        "unknown_customer",
        "campaign_not_active",
        "campaign_over",
        "budget_spent",
        "limit_reached",
        "not_in_audience",
        "already_granted",
    )
    operation = campaign_grants.REDEEM

    @extend_schema(request=RedeemBody, responses={201: RedeemedAnswer})
    def post(self, request: Request) -> HttpResponse:
        """Redeem a code: the customer is granted the campaign's credits, once.

        Refused with 409, and nothing changed: `campaign_not_active`, `campaign_over`,
        `budget_spent`, `limit_reached`, `not_in_audience`, `already_granted`.
        """
        key, body = self.read_keyed(RedeemBody, request)
        return reply(campaign_grants.redeem(livemode=self.livemode, key=key, **body))
