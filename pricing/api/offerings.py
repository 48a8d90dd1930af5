"""`/v1/offerings`."""

from __future__ import annotations

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.access.models import ApiScope
from aforo.api.fields import DecimalField, StrictSerializer
from aforo.api.views import ApiView
from aforo.periods import Interval
from pricing.api.catalog import CatalogList, CodeField
from pricing.models import MAX_GRACE, BillingMode, Offering, OfferingStatus, OverCapture
from pricing.offerings import offerings


class OfferingBody(StrictSerializer):
    code = CodeField()
    name = serializers.CharField(max_length=200)
    rate_plan = serializers.CharField(max_length=64)
    billing_mode = serializers.ChoiceField(choices=BillingMode.choices)
    interval = serializers.ChoiceField(choices=[i.value for i in Interval])
    interval_count = serializers.IntegerField(min_value=1, max_value=366, required=False)
    trial_days = serializers.IntegerField(min_value=0, max_value=3_660, required=False)
    overage_limit = DecimalField(required=False, allow_null=True)
    over_capture = serializers.ChoiceField(
        choices=OverCapture.choices,
        required=False,
        help_text="What reservations do with a capture that nothing covers, unless they name it.",
    )
    grace_seconds = serializers.IntegerField(
        min_value=0,
        max_value=MAX_GRACE,
        required=False,
        help_text="How long after its end a reservation may be captured, unless it names it.",
    )
    debt_limit = DecimalField(
        required=False, allow_null=True, help_text="Most that may be owed for such captures."
    )
    several_per_customer = serializers.BooleanField(
        required=False, help_text="Whether a customer may have several at once."
    )
    gives_again = serializers.BooleanField(
        required=False, help_text="Whether each subscription brings trial and once-only grants."
    )
    status = serializers.ChoiceField(
        choices=[OfferingStatus.DRAFT, OfferingStatus.ACTIVE], required=False
    )


class OfferingChange(StrictSerializer):
    name = serializers.CharField(max_length=200, required=False)
    several_per_customer = serializers.BooleanField(required=False)
    gives_again = serializers.BooleanField(required=False)
    status = serializers.ChoiceField(choices=OfferingStatus.choices, required=False)


class OfferingAnswer(serializers.ModelSerializer[Offering]):
    rate_plan = serializers.CharField(source="plan.code")
    overage_limit = DecimalField(allow_null=True)
    debt_limit = DecimalField(allow_null=True)

    class Meta:
        model = Offering
        fields = [
            "code", "name", "rate_plan", "billing_mode", "interval", "interval_count",
            "trial_days", "overage_limit", "over_capture", "grace_seconds", "debt_limit",
            "several_per_customer", "gives_again", "status", "created_at",
        ]  # fmt: skip


class OfferingsView(CatalogList):
    names = {"get": "listOfferings", "post": "createOffering"}
    refusals = ("code_taken", "not_published")
    operation = "pricing.offerings.create"
    model = Offering
    serializer_class = OfferingAnswer
    filterset_fields = ["status", "billing_mode"]

    @extend_schema(request=OfferingBody, responses={201: OfferingAnswer})
    def post(self, request: Request) -> HttpResponse:
        """Sell a rate plan."""
        body = self.read(OfferingBody, request)
        return self.once(
            request,
            content=body,
            make=lambda: (
                OfferingAnswer(offerings.create_offering(livemode=self.livemode, **body)).data
            ),
        )


class OfferingView(ApiView):
    scope = ApiScope.CATALOG
    names = {"get": "getOffering", "patch": "updateOffering"}
    refusals = ("unknown_offering", "not_published")

    @extend_schema(responses=OfferingAnswer)
    def get(self, request: Request, code: str) -> Response:
        """Return an offering."""
        offering = offerings.get_offering(livemode=self.livemode, code=code)
        return Response(OfferingAnswer(offering).data)

    @extend_schema(request=OfferingChange, responses=OfferingAnswer)
    def patch(self, request: Request, code: str) -> Response:
        """Rename, activate or archive an offering."""
        body = self.read(OfferingChange, request)
        offering = offerings.update_offering(livemode=self.livemode, code=code, changes=body)
        return Response(OfferingAnswer(offering).data)
