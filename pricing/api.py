"""`/v1/metrics`, `/v1/rate-plans`, `/v1/offerings` and the price preview."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.access.models import Scope
from aforo.api.fields import CurrencyField, DecimalField, StrictSerializer
from aforo.api.idempotency import once
from aforo.api.views import ApiView
from aforo.errors import FieldError, Invalid
from aforo.periods import Interval
from pricing import calculators, services
from pricing.models import (
    Aggregation,
    BillingMode,
    Kind,
    Metric,
    Model,
    Offering,
    OfferingStatus,
    RatePlan,
    RatePlanVersion,
    Recurrence,
    Timing,
)
from pricing.terms import parse, to_json


class CodeField(serializers.RegexField):
    """A code that fits into an address."""

    def __init__(self, max_length: int = 64, **kwargs: Any) -> None:
        super().__init__(r"^[A-Za-z0-9._:\-]+$", max_length=max_length, **kwargs)


class FilterBody(StrictSerializer):
    property = serializers.CharField(max_length=100)
    op = serializers.ChoiceField(choices=services.OPERATORS)
    value = serializers.JSONField(required=False)


class MetricBody(StrictSerializer):
    code = CodeField(max_length=255)
    name = serializers.CharField(max_length=200)
    aggregation = serializers.ChoiceField(choices=Aggregation.choices)
    property = serializers.CharField(max_length=100, required=False, allow_blank=True)
    filters = FilterBody(many=True, required=False)


class MetricChange(StrictSerializer):
    name = serializers.CharField(max_length=200, required=False)
    aggregation = serializers.ChoiceField(choices=Aggregation.choices, required=False)
    property = serializers.CharField(max_length=100, required=False, allow_blank=True)
    filters = FilterBody(many=True, required=False)


class MetricAnswer(serializers.ModelSerializer[Metric]):
    class Meta:
        model = Metric
        fields = ["code", "name", "aggregation", "property", "filters", "created_at"]


class FeedBody(StrictSerializer):
    metric = serializers.CharField(max_length=255)
    weight = DecimalField(positive=True, required=False)


class ChargeBody(StrictSerializer):
    code = CodeField()
    model = serializers.ChoiceField(choices=Model.choices)
    description = serializers.CharField(max_length=200, required=False, allow_blank=True)
    metric = serializers.CharField(max_length=255, required=False)
    metrics = FeedBody(many=True, required=False)
    terms = serializers.JSONField()
    timing = serializers.ChoiceField(choices=Timing.choices, required=False)


class GrantTermsBody(StrictSerializer):
    code = CodeField(required=False)
    kind = serializers.ChoiceField(choices=Kind.choices)
    amount = DecimalField(positive=True, required=False)
    metric = serializers.CharField(max_length=255, required=False)
    quantity = DecimalField(positive=True, required=False)
    expires_after_days = serializers.IntegerField(
        min_value=1, max_value=36_500, required=False, allow_null=True
    )
    expires_at_cycle_end = serializers.BooleanField(required=False)
    recurrence = serializers.ChoiceField(choices=Recurrence.choices, required=False)
    priority = serializers.IntegerField(min_value=0, max_value=32_767, required=False)
    rollover = serializers.JSONField(required=False, allow_null=True)
    ssp_unit_price = DecimalField(positive=True, required=False, allow_null=True)


class WordingBody(StrictSerializer):
    burn_order = serializers.ListField(
        child=serializers.ChoiceField(choices=Kind.choices), required=False
    )
    minimum_spend = DecimalField(required=False, allow_null=True)
    maximum_spend = DecimalField(required=False, allow_null=True)
    caps = serializers.DictField(child=DecimalField(positive=True), required=False)
    grace_hours = serializers.IntegerField(min_value=0, max_value=2_000, required=False)
    charges = ChargeBody(many=True)
    grants = GrantTermsBody(many=True, required=False)


class RatePlanBody(WordingBody):
    code = CodeField()
    name = serializers.CharField(max_length=200)
    currency = CurrencyField()


class OfferingBody(StrictSerializer):
    code = CodeField()
    name = serializers.CharField(max_length=200)
    rate_plan = serializers.CharField(max_length=64)
    billing_mode = serializers.ChoiceField(choices=BillingMode.choices)
    interval = serializers.ChoiceField(choices=[i.value for i in Interval])
    interval_count = serializers.IntegerField(min_value=1, max_value=366, required=False)
    trial_days = serializers.IntegerField(min_value=0, max_value=3_660, required=False)
    overage_limit = DecimalField(required=False, allow_null=True)
    status = serializers.ChoiceField(
        choices=[OfferingStatus.DRAFT, OfferingStatus.ACTIVE], required=False
    )


class OfferingChange(StrictSerializer):
    name = serializers.CharField(max_length=200, required=False)
    status = serializers.ChoiceField(choices=OfferingStatus.choices, required=False)


class OfferingAnswer(serializers.ModelSerializer[Offering]):
    rate_plan = serializers.CharField(source="plan.code")
    overage_limit = DecimalField(allow_null=True)

    class Meta:
        model = Offering
        fields = [
            "code", "name", "rate_plan", "billing_mode", "interval", "interval_count",
            "trial_days", "overage_limit", "status", "created_at",
        ]  # fmt: skip


class VersionAnswer(serializers.ModelSerializer[RatePlanVersion]):
    """A version of a rate plan, in the words in which it was sent."""

    code = serializers.CharField(source="plan.code")
    name = serializers.CharField(source="plan.name")
    currency = serializers.CharField(source="plan.currency")
    version = serializers.IntegerField(source="number")
    minimum_spend = DecimalField(allow_null=True)
    maximum_spend = DecimalField(allow_null=True)
    charges = serializers.SerializerMethodField()
    grants = serializers.SerializerMethodField()

    class Meta:
        model = RatePlanVersion
        fields = [
            "code", "name", "currency", "version", "status", "published_at", "burn_order",
            "minimum_spend", "maximum_spend", "caps", "grace_hours", "charges", "grants",
        ]  # fmt: skip

    def get_charges(self, version: RatePlanVersion) -> list[dict[str, Any]]:
        """Show the charges."""
        return [
            {
                "code": charge.code,
                "model": charge.model,
                "description": charge.description,
                "metrics": [
                    {"metric": metric, "weight": weight} for metric, weight in charge.feeds
                ],
                "terms": to_json(charge.terms),
                "timing": charge.timing,
            }
            for charge in services.charges_of(version)
        ]

    def get_grants(self, version: RatePlanVersion) -> list[dict[str, Any]]:
        """Show the grants."""
        return [
            {
                "code": grant.code,
                "kind": grant.kind,
                **(
                    {"amount": grant.quantity}
                    if grant.metric is None
                    else {"metric": grant.metric.code, "quantity": grant.quantity}
                ),
                "recurrence": grant.recurrence,
                "expires_after_days": grant.expires_after_days,
                "expires_at_cycle_end": grant.expires_at_cycle_end,
                "priority": grant.priority,
                "rollover": grant.rollover,
            }
            for grant in version.grants.select_related("metric").order_by("position", "pk")
        ]


class RatePlanAnswer(serializers.ModelSerializer[RatePlan]):
    class Meta:
        model = RatePlan
        fields = ["code", "name", "currency", "created_at"]


class PreviewBody(StrictSerializer):
    charge = ChargeBody()
    quantity = DecimalField(required=False)
    events = serializers.IntegerField(min_value=0, required=False)
    value = DecimalField(required=False)


class StepAnswer(serializers.Serializer[Any]):
    label = serializers.CharField()  # type: ignore[assignment]
    quantity = serializers.CharField()
    unit_price = serializers.CharField(allow_null=True)
    amount = serializers.CharField()


class PreviewAnswer(serializers.Serializer[Any]):
    amount = serializers.CharField()
    steps = StepAnswer(many=True)


def wording_of(body: dict[str, Any]) -> services.Wording:
    """Take the wording of a version out of a body."""
    names = [
        "charges", "grants", "burn_order", "minimum_spend", "maximum_spend", "caps", "grace_hours",
    ]  # fmt: skip
    return services.Wording(**{name: body.pop(name) for name in names if name in body})


class CatalogList(ApiView, generics.ListAPIView[Any]):
    """A list of the catalogue, newest first."""

    scope = Scope.CATALOG
    model: ClassVar[Any] = None

    def get_queryset(self) -> QuerySet[Any]:
        """Give what the mode of the key may see."""
        queryset: QuerySet[Any] = self.model.objects.filter(livemode=self.livemode)
        return queryset


class MetricsView(CatalogList):
    model = Metric
    serializer_class = MetricAnswer
    filterset_fields = ["aggregation"]

    @extend_schema(request=MetricBody, responses={201: MetricAnswer})
    def post(self, request: Request) -> HttpResponse:
        """Define a metric."""
        body = self.read(MetricBody, request)
        return once(
            request,
            livemode=self.livemode,
            endpoint="POST /v1/metrics",
            content=body,
            make=lambda: MetricAnswer(services.create_metric(livemode=self.livemode, **body)).data,
        )


class MetricView(ApiView):
    scope = Scope.CATALOG

    @extend_schema(responses=MetricAnswer)
    def get(self, request: Request, code: str) -> Response:
        """Show a metric."""
        return Response(MetricAnswer(services.get_metric(livemode=self.livemode, code=code)).data)

    @extend_schema(request=MetricChange, responses=MetricAnswer)
    def patch(self, request: Request, code: str) -> Response:
        """Change a metric; one that is priced keeps everything but its name."""
        body = self.read(MetricChange, request)
        metric = services.update_metric(livemode=self.livemode, code=code, changes=body)
        return Response(MetricAnswer(metric).data)


class RatePlansView(CatalogList):
    model = RatePlan
    serializer_class = RatePlanAnswer
    filterset_fields = ["currency"]

    @extend_schema(request=RatePlanBody, responses={201: VersionAnswer})
    def post(self, request: Request) -> HttpResponse:
        """Create a rate plan with its first draft."""
        body = self.read(RatePlanBody, request)
        content = dict(body)
        wording = wording_of(body)
        return once(
            request,
            livemode=self.livemode,
            endpoint="POST /v1/rate-plans",
            content=content,
            make=lambda: (
                VersionAnswer(
                    services.create_rate_plan(livemode=self.livemode, wording=wording, **body)
                ).data
            ),
        )


class RatePlanView(ApiView):
    scope = Scope.CATALOG

    @extend_schema(responses=VersionAnswer)
    def get(self, request: Request, code: str) -> Response:
        """Show the latest version of a rate plan."""
        plan = services.get_rate_plan(livemode=self.livemode, code=code)
        version = plan.versions.select_related("plan").order_by("-number").first()
        return Response(VersionAnswer(version).data)

    @extend_schema(request=WordingBody, responses=VersionAnswer)
    def patch(self, request: Request, code: str) -> Response:
        """Replace what the draft says."""
        wording = wording_of(self.read(WordingBody, request))
        draft = services.update_draft(livemode=self.livemode, code=code, wording=wording)
        return Response(VersionAnswer(draft).data)


class VersionsView(ApiView):
    scope = Scope.CATALOG

    @extend_schema(request=WordingBody, responses={201: VersionAnswer})
    def post(self, request: Request, code: str) -> HttpResponse:
        """Begin the next draft."""
        body = self.read(WordingBody, request)
        content = {"code": code, **body}
        wording = wording_of(body)
        return once(
            request,
            livemode=self.livemode,
            endpoint="POST /v1/rate-plans/{code}/versions",
            content=content,
            make=lambda: (
                VersionAnswer(
                    services.create_version(livemode=self.livemode, code=code, wording=wording)
                ).data
            ),
        )


class VersionView(ApiView):
    scope = Scope.CATALOG

    @extend_schema(responses=VersionAnswer)
    def get(self, request: Request, code: str, number: int) -> Response:
        """Show one version."""
        version = services.get_version(livemode=self.livemode, code=code, number=number)
        return Response(VersionAnswer(version).data)


class PublishView(ApiView):
    scope = Scope.CATALOG

    @extend_schema(request=None, responses=VersionAnswer)
    def post(self, request: Request, code: str) -> HttpResponse:
        """Freeze the draft for ever."""
        return once(
            request,
            livemode=self.livemode,
            endpoint="POST /v1/rate-plans/{code}/publish",
            content={"code": code},
            status=200,
            make=lambda: (
                VersionAnswer(
                    services.publish(livemode=self.livemode, code=code, now=timezone.now())
                ).data
            ),
        )


class OfferingsView(CatalogList):
    model = Offering
    serializer_class = OfferingAnswer
    filterset_fields = ["status", "billing_mode"]

    def get_queryset(self) -> QuerySet[Any]:
        """Read the plans with them."""
        return super().get_queryset().select_related("plan")

    @extend_schema(request=OfferingBody, responses={201: OfferingAnswer})
    def post(self, request: Request) -> HttpResponse:
        """Sell a rate plan."""
        body = self.read(OfferingBody, request)
        return once(
            request,
            livemode=self.livemode,
            endpoint="POST /v1/offerings",
            content=body,
            make=lambda: (
                OfferingAnswer(services.create_offering(livemode=self.livemode, **body)).data
            ),
        )


class OfferingView(ApiView):
    scope = Scope.CATALOG

    @extend_schema(responses=OfferingAnswer)
    def get(self, request: Request, code: str) -> Response:
        """Show an offering."""
        offering = services.get_offering(livemode=self.livemode, code=code)
        return Response(OfferingAnswer(offering).data)

    @extend_schema(request=OfferingChange, responses=OfferingAnswer)
    def patch(self, request: Request, code: str) -> Response:
        """Rename, activate or archive an offering."""
        body = self.read(OfferingChange, request)
        offering = services.update_offering(livemode=self.livemode, code=code, changes=body)
        return Response(OfferingAnswer(offering).data)


class PricingPreviewView(ApiView):
    scope = Scope.CATALOG

    @extend_schema(request=PreviewBody, responses=PreviewAnswer)
    def post(self, request: Request) -> Response:
        """Price a quantity by a charge, exact and unrounded, step by step."""
        body = self.read(PreviewBody, request)
        charge = body["charge"]
        try:
            terms = parse(charge["model"], charge["terms"])
        except Invalid as error:
            moved = [
                FieldError(f"/charge/terms{e.pointer}", e.code, e.detail) for e in error.errors
            ]
            raise Invalid(moved) from error
        is_share = charge["model"] == Model.PERCENTAGE
        quantity = body.get("value", body.get("quantity")) if is_share else body.get("quantity")
        if quantity is None:
            name = "value" if is_share else "quantity"
            raise Invalid([FieldError(f"/{name}", "required", f"Give the {name}.")])
        priced = calculators.preview(
            terms, calculators.Usage(quantity, body.get("events", 1 if is_share else 0))
        )
        return Response(
            {
                "amount": priced.amount,
                "steps": [
                    {
                        "label": step.label,
                        "quantity": step.quantity,
                        "unit_price": step.unit_price,
                        "amount": step.amount,
                    }
                    for step in priced.steps
                ],
            }
        )
