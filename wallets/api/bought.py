"""`/v1/wallets/grants`, `/v1/wallets/top-ups`, `/v1/wallets/refunds`: credits in, and paid back."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request

from aforo.access.models import Scope
from aforo.api.fields import CurrencyField, DecimalField, StrictSerializer
from aforo.api.idempotency import required_key
from aforo.api.views import ApiView
from pricing.models import Kind
from wallets import services
from wallets.api.shapes import (
    CustomerIdField,
    IssuedAnswer,
    KeyedBody,
    MoneyOrUnits,
    reply,
)
from wallets.models import Source


class GrantBody(MoneyOrUnits):
    customer_id = CustomerIdField()
    kind = serializers.ChoiceField(choices=[Kind.PROMO, Kind.BONUS])
    expires_at = serializers.DateTimeField(required=False, allow_null=True)
    priority = serializers.IntegerField(min_value=0, max_value=32_767, default=100)
    reason = serializers.CharField(max_length=500)
    source = serializers.ChoiceField(  # type: ignore[assignment]
        choices=[Source.MANUAL, Source.GOODWILL], default=Source.MANUAL
    )
    idempotency_key = serializers.CharField(max_length=255, required=False)

    currency_required = True

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Goodwill is money given free, so it is of the kind PROMO."""
        if attrs["source"] == Source.GOODWILL and (
            attrs["kind"] != Kind.PROMO or "amount" not in attrs
        ):
            raise serializers.ValidationError(
                {"source": "Goodwill is PROMO money."}, code="invalid"
            )
        return super().validate(attrs)


class PaymentBody(StrictSerializer):
    method = serializers.CharField(max_length=50)


class BonusBody(MoneyOrUnits):
    """Money of the top-up's own currency, or units."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse another currency."""
        if "currency" in attrs:
            raise serializers.ValidationError(
                {"currency": "The bonus has the currency of the top-up."}, code="invalid"
            )
        return super().validate(attrs)


class TopUpBody(StrictSerializer):
    customer_id = CustomerIdField()
    amount = DecimalField(positive=True)
    currency = CurrencyField()
    payment = PaymentBody(required=False)
    bonus = BonusBody(required=False)
    expires_at = serializers.DateTimeField(required=False, allow_null=True)
    idempotency_key = serializers.CharField(max_length=255, required=False)


class GrantView(ApiView):
    scope = Scope.WALLETS

    @extend_schema(request=GrantBody, responses={201: IssuedAnswer})
    def post(self, request: Request) -> HttpResponse:
        """Give promo or bonus credits."""
        body = self.read(GrantBody, request)
        key = required_key(request, body.pop("idempotency_key", None))
        return reply(services.grant(livemode=self.livemode, key=key, **body))


class TopUpView(ApiView):
    scope = Scope.WALLETS

    @extend_schema(request=TopUpBody, responses={201: IssuedAnswer})
    def post(self, request: Request) -> HttpResponse:
        """Buy cash credits, with the bonus that comes with them."""
        body = self.read(TopUpBody, request)
        key = required_key(request, body.pop("idempotency_key", None))
        payment, bonus = body.pop("payment", None), body.pop("bonus", None)
        return reply(
            services.top_up(
                livemode=self.livemode,
                key=key,
                payment=None if payment is None else services.Payment(**payment),
                bonus=None if bonus is None else services.Bonus(**bonus),
                **body,
            )
        )


class RefundBody(KeyedBody):
    customer_id = CustomerIdField()
    amount = DecimalField(positive=True)
    currency = CurrencyField()
    reason = serializers.CharField(max_length=500)


class RefundedLotAnswer(serializers.Serializer[Any]):
    lot = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=Kind.choices)
    quantity = serializers.CharField()
    carrying = serializers.CharField()
    remaining = serializers.CharField()


class RefundAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    customer_id = serializers.CharField()
    currency = serializers.CharField()
    amount = serializers.CharField()
    refunded = serializers.CharField()
    clawed_back = serializers.CharField()
    lots = RefundedLotAnswer(many=True)
    balance = serializers.DictField()
    entry = serializers.UUIDField()


class RefundView(ApiView):
    scope = Scope.WALLETS

    @extend_schema(request=RefundBody, responses={201: RefundAnswer})
    def post(self, request: Request) -> HttpResponse:
        """Pay unused cash credits back, newest top-up first, less the bonus that is missing."""
        body = self.read(RefundBody, request)
        key = required_key(request, body.pop("idempotency_key", None))
        return reply(services.refund(livemode=self.livemode, key=key, **body))
