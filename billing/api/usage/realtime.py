"""`/v1/usage/debit`, `/v1/usage/reserve`: usage that is paid before it is served."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request

from aforo.access.models import ApiScope
from aforo.api.fields import DecimalField, StrictSerializer, TimeField
from aforo.api.views import ApiView
from billing.realtime import usage_calls
from billing.realtime.usage_requests import UsageRequest, UsageReserveRequest
from billing.usage.events import BadEvent, kept
from wallets.api.reservations import GraceField, OverCaptureField
from wallets.api.shapes import (
    PRICING,
    SPENDING,
    AllocationAnswer,
    AttributesField,
    BalanceAnswer,
    CustomerIdField,
    reply,
)
from wallets.debits import engine
from wallets.models import ReservationStatus


class UsageQuantityField(DecimalField):
    """At most 14 digits before the point and 6 after it, as on the ingest endpoints."""

    default_error_messages = {
        "too_large": "At most 14 digits before the decimal point.",
        "too_many_decimals": "At most 6 decimal places.",
    }
    limit = Decimal(10) ** 14
    places = 6


@extend_schema_field({"type": "object", "additionalProperties": {}})
class PropertiesField(serializers.Field[dict[str, object], Any, Any, Any]):
    """Properties of the client's own, in the form in which metered events store theirs."""

    default_error_messages = {"not_a_dict": "Properties are an object."}

    def to_internal_value(self, data: Any) -> dict[str, object]:
        """Convert the properties to the stored form."""
        if not isinstance(data, dict):
            self.fail("not_a_dict")
        try:
            return kept(data)
        except BadEvent as error:
            raise serializers.ValidationError(str(error), error.code) from error


class UsageBody(StrictSerializer):
    customer_id = CustomerIdField()
    metric = serializers.CharField(max_length=255)
    quantity = UsageQuantityField(positive=True)
    occurred_at = TimeField(required=False, allow_null=True)
    properties = PropertiesField(required=False)
    attributes = AttributesField(
        required=False, help_text="Become properties; none may be sent as another property."
    )
    idempotency_key = serializers.CharField(max_length=255, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Check that no attribute is sent as another property, too."""
        properties = attrs.get("properties", {})
        for name, value in attrs.get("attributes", {}).items():
            if properties.get(name, value) != value:
                message = "It is also sent as another property."
                raise serializers.ValidationError({"attributes": {name: message}}, code="ambiguous")
        return attrs


class UsageReserveBody(UsageBody):
    expires_in = serializers.IntegerField(
        min_value=1, max_value=engine.MAX_HOLD, default=engine.DEFAULT_HOLD, help_text="Seconds."
    )
    over_capture = OverCaptureField()
    grace_seconds = GraceField()


class UsageAllocationAnswer(AllocationAnswer):
    currency = serializers.CharField(required=False)
    metric = serializers.CharField(required=False)


class UsageDebitAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    customer_id = serializers.CharField()
    metric = serializers.CharField()
    quantity = serializers.CharField()
    amount = serializers.CharField(help_text="The marginal gross price: money and overage.")
    currency = serializers.CharField()
    allocations = UsageAllocationAnswer(many=True)
    overage = serializers.CharField()
    balance = BalanceAnswer()
    unit_balance = BalanceAnswer()
    entry = serializers.UUIDField(allow_null=True)
    usage_event = serializers.UUIDField()
    occurred_at = serializers.DateTimeField()


class UsageReservationAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    customer_id = serializers.CharField()
    metric = serializers.CharField()
    quantity = serializers.CharField()
    status = serializers.ChoiceField(choices=ReservationStatus.choices)
    amount = serializers.CharField()
    currency = serializers.CharField()
    held = serializers.CharField()
    held_units = serializers.CharField()
    allocations = AllocationAnswer(many=True)
    overage_expected = serializers.CharField()
    over_capture = serializers.CharField()
    grace_seconds = serializers.IntegerField()
    balance = BalanceAnswer()
    expires_at = serializers.DateTimeField()
    occurred_at = serializers.DateTimeField()


class UsageDebitView(ApiView):
    scope = ApiScope.USAGE
    names = {"post": "debitUsage"}
    refusals = ("unknown_customer", "no_subscription", *PRICING, *SPENDING)
    operation = UsageRequest.operation

    @extend_schema(request=UsageBody, responses=UsageDebitAnswer)
    def post(self, request: Request) -> HttpResponse:
        """Record usage, price it under the subscription and pay for it: units, then money."""
        key, body = self.read_keyed(UsageBody, request)
        ask = UsageRequest(key=key, **body)
        return reply(usage_calls.execute(livemode=self.livemode, ask=ask))


class UsageReserveView(ApiView):
    scope = ApiScope.USAGE
    names = {"post": "reserveUsage"}
    refusals = ("unknown_customer", "no_subscription", *PRICING, *SPENDING)
    operation = UsageReserveRequest.operation

    @extend_schema(request=UsageReserveBody, responses={201: UsageReservationAnswer})
    def post(self, request: Request) -> HttpResponse:
        """Reserve what usage would cost; capture it at `/v1/wallets/reservations/{id}/capture`."""
        key, body = self.read_keyed(UsageReserveBody, request)
        ask = UsageReserveRequest(key=key, **body)
        return reply(usage_calls.execute(livemode=self.livemode, ask=ask))
