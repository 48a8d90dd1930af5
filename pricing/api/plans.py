"""`/v1/rate-plans`: drafts, versions, publishing."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.access.models import ApiScope
from aforo.api.fields import (
    CurrencyField,
    DecimalField,
    JsonField,
    MapField,
    NothingBody,
    StrictSerializer,
)
from aforo.api.schema_fields import DECIMAL
from aforo.api.views import ApiView
from pricing import catalogue
from pricing.api.catalog import CatalogList, CodeField, VersionField
from pricing.models import (
    ChargeTiming,
    CreditKind,
    GrantRecurrence,
    LateUsagePolicy,
    PriceModel,
    RatePlan,
    RatePlanVersion,
)
from pricing.plans import plans, version_diff, version_spec
from pricing.terms import Beyond, to_json


class FeedBody(StrictSerializer):
    metric = serializers.CharField(max_length=255)
    weight = DecimalField(positive=True, required=False)


class ChargeBody(StrictSerializer):
    code = CodeField()
    model = serializers.ChoiceField(choices=PriceModel.choices)
    description = serializers.CharField(max_length=200, required=False, allow_blank=True)
    metric = serializers.CharField(max_length=255, required=False)
    metrics = serializers.ListField(child=FeedBody(), max_length=100, required=False)
    terms = JsonField()
    timing = serializers.ChoiceField(choices=ChargeTiming.choices, required=False)


class GrantTermsBody(StrictSerializer):
    code = CodeField(required=False)
    kind = serializers.ChoiceField(choices=CreditKind.choices)
    amount = DecimalField(positive=True, required=False)
    metric = serializers.CharField(max_length=255, required=False)
    quantity = DecimalField(positive=True, required=False)
    expires_after_days = serializers.IntegerField(
        min_value=1, max_value=36_500, required=False, allow_null=True
    )
    expires_at_cycle_end = serializers.BooleanField(required=False)
    recurrence = serializers.ChoiceField(choices=GrantRecurrence.choices, required=False)
    priority = serializers.IntegerField(min_value=0, max_value=32_767, required=False)
    rollover = JsonField(required=False, allow_null=True)
    ssp_unit_price = DecimalField(positive=True, required=False, allow_null=True)


_QUANTITY = {"type": ["string", "number"], "pattern": DECIMAL, "examples": ["12.50"]}
_CAP = {
    "type": "object",
    "required": ["quantity"],
    "properties": {
        "quantity": _QUANTITY,
        "beyond": {"type": "string", "enum": [beyond.value for beyond in Beyond]},
    },
}


@extend_schema_field({"type": "object", "additionalProperties": {"oneOf": [_CAP, _QUANTITY]}})
class CapsField(MapField):
    """Hard caps by metric: a quantity, or what happens beyond it too; read with the version."""


class VersionChange(StrictSerializer):
    """Members of what a version says; what is left out stays as it is."""

    burn_order = serializers.ListField(
        child=serializers.ChoiceField(choices=CreditKind.choices), max_length=10, required=False
    )
    minimum_spend = DecimalField(required=False, allow_null=True)
    maximum_spend = DecimalField(required=False, allow_null=True)
    caps = CapsField(required=False)
    grace_hours = serializers.IntegerField(min_value=0, max_value=2_000, required=False)
    draft_hours = serializers.IntegerField(min_value=0, max_value=2_000, required=False)
    lapse_grace_hours = serializers.IntegerField(min_value=0, max_value=2_000, required=False)
    late_usage = serializers.ChoiceField(choices=LateUsagePolicy.choices, required=False)
    tax_class = CodeField(max_length=40, required=False, allow_blank=True)
    tax_inclusive = serializers.BooleanField(required=False)
    charges = serializers.ListField(child=ChargeBody(), max_length=500, required=False)
    grants = serializers.ListField(child=GrantTermsBody(), max_length=100, required=False)


class VersionBody(VersionChange):
    """A whole version, or nothing at all: a copy of the latest version."""

    default_error_messages = {"required": "Give the charges, or an empty body for a copy."}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Check that the version is whole or absent."""
        if attrs and "charges" not in attrs:
            message = str(self.error_messages["required"])
            raise serializers.ValidationError({"charges": [message]}, "required")
        return attrs


class RatePlanBody(VersionChange):
    charges = serializers.ListField(child=ChargeBody(), max_length=500)
    code = CodeField()
    name = serializers.CharField(max_length=200)
    currency = CurrencyField()


class VersionAnswer(serializers.ModelSerializer[RatePlanVersion]):
    """A version of a rate plan, in the form in which it was sent."""

    code = serializers.CharField(source="plan.code")
    name = serializers.CharField(source="plan.name")
    currency = serializers.CharField(source="plan.currency")
    version = serializers.IntegerField(source="number")
    minimum_spend = DecimalField(allow_null=True)
    maximum_spend = DecimalField(allow_null=True)
    caps = CapsField()
    charges = serializers.SerializerMethodField()
    grants = serializers.SerializerMethodField()

    class Meta:
        model = RatePlanVersion
        fields = [
            "code", "name", "currency", "version", "status", "published_at", "burn_order",
            "minimum_spend", "maximum_spend", "caps", "grace_hours", "lapse_grace_hours",
            "late_usage", "tax_class", "tax_inclusive", "charges", "grants",
        ]  # fmt: skip

    def get_charges(self, version: RatePlanVersion) -> list[dict[str, Any]]:
        """Return the charges."""
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
            for charge in catalogue.charges_of(version)
        ]

    def get_grants(self, version: RatePlanVersion) -> list[dict[str, Any]]:
        """Return the grants."""
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
                "ssp_unit_price": grant.ssp_unit_price,
            }
            for grant in version.grants.select_related("metric").order_by("position", "pk")
        ]


class RatePlanAnswer(serializers.ModelSerializer[RatePlan]):
    class Meta:
        model = RatePlan
        fields = ["code", "name", "currency", "created_at"]


def version_spec_of(body: dict[str, Any]) -> version_spec.VersionSpec:
    """Return what a body says of a version."""
    names = [
        "charges", "grants", "burn_order", "minimum_spend", "maximum_spend", "caps", "grace_hours",
        "draft_hours", "lapse_grace_hours", "late_usage", "tax_class",
        "tax_inclusive",
    ]  # fmt: skip
    return version_spec.VersionSpec(**{name: body.pop(name) for name in names if name in body})


class RatePlansView(CatalogList):
    names = {"get": "listRatePlans", "post": "createRatePlan"}
    refusals = ("code_taken",)
    operation = "pricing.rate_plans.create"
    model = RatePlan
    serializer_class = RatePlanAnswer
    filterset_fields = ["currency"]

    @extend_schema(request=RatePlanBody, responses={201: VersionAnswer})
    def post(self, request: Request) -> HttpResponse:
        """Create a rate plan with its first draft."""
        body = self.read(RatePlanBody, request)
        content = dict(body)
        spec = version_spec_of(body)
        return self.once(
            request,
            content=content,
            make=lambda: (
                VersionAnswer(
                    plans.create_rate_plan(livemode=self.livemode, spec=spec, **body)
                ).data
            ),
        )


class RatePlanView(ApiView):
    scope = ApiScope.CATALOG
    names = {"get": "getRatePlan", "patch": "updateRatePlan"}
    refusals = ("unknown_rate_plan", "no_draft")

    @extend_schema(responses=VersionAnswer)
    def get(self, request: Request, code: str) -> Response:
        """Return the latest version of a rate plan."""
        plan = plans.get_rate_plan(livemode=self.livemode, code=code)
        version = plan.versions.select_related("plan").order_by("-number").first()
        return Response(VersionAnswer(version).data)

    @extend_schema(request=VersionChange, responses=VersionAnswer)
    def patch(self, request: Request, code: str) -> Response:
        """Replace members of what the draft says; those left out stay."""
        body = self.read(VersionChange, request)
        draft = plans.update_draft(livemode=self.livemode, code=code, changes=body)
        return Response(VersionAnswer(draft).data)


class VersionLine(serializers.ModelSerializer[RatePlanVersion]):
    version = serializers.IntegerField(source="number")

    class Meta:
        model = RatePlanVersion
        fields = ["version", "status", "published_at", "created_at"]


class VersionsView(CatalogList):
    names = {"get": "listRatePlanVersions", "post": "createRatePlanVersion"}
    refusals = ("unknown_rate_plan", "draft_exists")
    operation = "pricing.rate_plans.create_version"
    model = RatePlanVersion
    serializer_class = VersionLine
    filterset_fields = ["status"]

    def get_queryset(self) -> QuerySet[Any]:
        """Return the versions of one plan."""
        if getattr(self, "swagger_fake_view", False):
            return RatePlanVersion.objects.none()
        plan = plans.get_rate_plan(livemode=self.livemode, code=self.kwargs["code"])
        return RatePlanVersion.objects.filter(plan=plan)

    @extend_schema(request=VersionBody, responses={201: VersionAnswer})
    def post(self, request: Request, code: str) -> HttpResponse:
        """Begin the next draft; an empty body copies the latest version."""
        body = self.read(VersionBody, request)
        content = {"code": code, **body}
        spec = version_spec_of(body) if body else None
        return self.once(
            request,
            content=content,
            make=lambda: (
                VersionAnswer(
                    plans.create_version(livemode=self.livemode, code=code, spec=spec)
                ).data
            ),
        )


class VersionView(ApiView):
    scope = ApiScope.CATALOG
    names = {"get": "getRatePlanVersion"}
    refusals = ("unknown_rate_plan",)

    @extend_schema(responses=VersionAnswer)
    def get(self, request: Request, code: str, number: int) -> Response:
        """Return one version."""
        version = plans.get_version(livemode=self.livemode, code=code, number=number)
        return Response(VersionAnswer(version).data)


class RetireView(ApiView):
    scope = ApiScope.CATALOG
    names = {"post": "retireRatePlanVersion"}
    refusals = ("unknown_rate_plan", "on_sale", "not_published")
    operation = "pricing.rate_plans.retire"

    @extend_schema(request=None, responses=VersionAnswer)
    def post(self, request: Request, code: str, number: int) -> HttpResponse:
        """Retire a published version; its subscriptions keep it."""
        self.read(NothingBody, request)
        return self.once(
            request,
            content={"code": code, "number": number},
            status=200,
            make=lambda: (
                VersionAnswer(plans.retire(livemode=self.livemode, code=code, number=number)).data
            ),
        )


class PublishView(ApiView):
    scope = ApiScope.CATALOG
    names = {"post": "publishRatePlan"}
    refusals = ("unknown_rate_plan", "no_draft")
    operation = "pricing.rate_plans.publish"

    @extend_schema(request=None, responses=VersionAnswer)
    def post(self, request: Request, code: str) -> HttpResponse:
        """Publish the draft, which never changes again."""
        self.read(NothingBody, request)
        return self.once(
            request,
            content={"code": code},
            status=200,
            make=lambda: (
                VersionAnswer(
                    plans.publish(livemode=self.livemode, code=code, now=timezone.now())
                ).data
            ),
        )


class DiffQuery(StrictSerializer):
    """The numbers of two versions."""

    to = VersionField()

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Add the field whose name is a word of the language."""
        return {"from": VersionField(), **super().get_fields()}


class ChangeAnswer(serializers.Serializer[Any]):
    field = serializers.CharField()
    before = serializers.CharField(allow_null=True)
    after = serializers.CharField(allow_null=True)


class DiffView(ApiView):
    scope = ApiScope.CATALOG
    names = {"get": "compareRatePlanVersions"}
    refusals = ("unknown_rate_plan",)
    query = DiffQuery

    @extend_schema(
        parameters=[DiffQuery],
        responses=ChangeAnswer(many=True),
    )
    def get(self, request: Request, code: str) -> Response:
        """Return what changed between two versions."""
        asked = self.asked(request)
        before, after = (
            plans.get_version(livemode=self.livemode, code=code, number=number)
            for number in (asked["from"], asked["to"])
        )
        return Response(
            [
                {"field": change.field, "before": change.before, "after": change.after}
                for change in version_diff.diff(before, after)
            ]
        )
