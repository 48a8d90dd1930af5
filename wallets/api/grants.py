"""`/v1/wallets/grants` and `/v1/wallets/refunds`: credits given, and paid back."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request

from aforo.access.models import ApiScope
from aforo.api.fields import DecimalField, ExpiryField
from aforo.api.rows import RowsView
from aforo.api.views import ApiView
from pricing.models import CreditKind
from wallets.api.shapes import (
    ApprovalAnswer,
    CreditsField,
    CustomerIdField,
    IssuedAnswer,
    KeyedBody,
    MoneyOrUnits,
    reply,
    resolve_expiry,
)
from wallets.grants import grants
from wallets.models import CreditSource, GatewayRefund
from wallets.top_ups import refunds


class GrantBody(MoneyOrUnits):
    customer_id = CustomerIdField()
    kind = serializers.ChoiceField(choices=[CreditKind.PROMO, CreditKind.BONUS])
    expires_at = ExpiryField(required=False, allow_null=True)
    priority = serializers.IntegerField(min_value=0, max_value=32_767, default=100)
    reason = serializers.CharField(max_length=500)
    source = serializers.ChoiceField(  # type: ignore[assignment]
        choices=[CreditSource.MANUAL, CreditSource.GOODWILL], default=CreditSource.MANUAL
    )
    idempotency_key = serializers.CharField(max_length=255, required=False)

    currency_required = True

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Check that goodwill, which is money given free, is of the kind PROMO."""
        if attrs["source"] == CreditSource.GOODWILL and (
            attrs["kind"] != CreditKind.PROMO or "amount" not in attrs
        ):
            raise serializers.ValidationError(
                {"source": "Goodwill is PROMO money."}, code="invalid"
            )
        return super().validate(attrs)


class GrantAnswer(IssuedAnswer):
    kind = serializers.ChoiceField(choices=[CreditKind.PROMO, CreditKind.BONUS])
    reason = serializers.CharField()


class GrantView(ApiView):
    scope = ApiScope.WALLETS
    names = {"post": "grantCredits"}
    refusals = ("unknown_customer",)
    operation = grants.GRANT

    @extend_schema(request=GrantBody, responses={201: GrantAnswer, 202: ApprovalAnswer})
    def post(self, request: Request) -> HttpResponse:
        """Grant promo or bonus credits; goodwill above a limit waits for a second person (202)."""
        key, body = self.read_keyed(GrantBody, request)
        resolve_expiry(body, livemode=self.livemode)
        return reply(grants.grant(livemode=self.livemode, key=key, **body))


class RefundBody(KeyedBody):
    customer_id = CustomerIdField()
    amount = DecimalField(positive=True)
    currency = CreditsField()
    reason = serializers.CharField(max_length=500)
    top_up = serializers.UUIDField(
        required=False, help_text="The purchase that is refunded; without it the newest first."
    )


class RefundedLotAnswer(serializers.Serializer[Any]):
    lot = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=CreditKind.choices)
    quantity = serializers.CharField()
    carrying = serializers.CharField()
    remaining = serializers.CharField()


class PayOutAnswer(serializers.Serializer[Any]):
    """What is paid back of one top-up, and the account of the books that the money leaves."""

    top_up = serializers.UUIDField()
    amount = serializers.CharField()
    account = serializers.CharField()
    tax = serializers.CharField(required=False, help_text="Tax at sale in the amount.")
    gateway_refund = serializers.UUIDField(
        allow_null=True, help_text="What the gateway that took the payment is asked for."
    )


class RefundAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    customer_id = serializers.CharField()
    currency = serializers.CharField()
    amount = serializers.CharField()
    refunded = serializers.CharField()
    paid_currency = serializers.CharField(
        required=False, help_text="Of credits of a unit: the currency that is paid back."
    )
    clawed_back = serializers.CharField()
    pay_outs = PayOutAnswer(many=True)
    lots = RefundedLotAnswer(many=True)
    balance = serializers.DictField()
    entry = serializers.UUIDField()


class GatewayRefundAnswer(serializers.ModelSerializer[GatewayRefund]):
    """What a gateway is asked to pay back of one top-up; declined it stays owed, by `entry`."""

    customer_id = serializers.CharField(source="top_up.book.key")
    refund = serializers.UUIDField(source="refund_id")
    top_up = serializers.UUIDField(source="top_up_id")
    amount = DecimalField()
    entry = serializers.UUIDField(source="entry_id", allow_null=True)

    class Meta:
        model = GatewayRefund
        fields = [
            "id", "customer_id", "refund", "top_up", "amount", "currency", "status", "created_at",
            "concluded_at", "entry",
        ]  # fmt: skip


class GatewayRefundFilter(filters.FilterSet):
    customer_id = filters.CharFilter(field_name="top_up__book__key")
    refund = filters.UUIDFilter(field_name="refund_id")

    class Meta:
        model = GatewayRefund
        fields = ["customer_id", "status", "top_up", "refund"]


class RefundsView(RowsView[GatewayRefund]):
    scope = ApiScope.WALLETS
    names = {"get": "listGatewayRefunds", "post": "refundCredits"}
    refusals = ("unknown_customer", "insufficient_funds")
    operation = refunds.REFUND
    serializer_class = GatewayRefundAnswer
    filterset_class = GatewayRefundFilter

    def get_queryset(self) -> QuerySet[GatewayRefund]:
        """Return what gateways pay back in the key's mode."""
        return GatewayRefund.objects.filter(top_up__book__livemode=self.livemode)

    @extend_schema(request=RefundBody, responses={201: RefundAnswer, 202: ApprovalAnswer})
    def post(self, request: Request) -> HttpResponse:
        """Pay unused cash credits back, newest top-up first, less the bonus that is missing."""
        key, body = self.read_keyed(RefundBody, request)
        return reply(refunds.refund(livemode=self.livemode, key=key, **body))
