"""`/v1/wallets/top-ups` and `/v1/wallets/{customer_id}/auto-refill`: credits bought."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet
from django.http import HttpResponse
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo import money
from aforo.access.models import ApiScope
from aforo.api.fields import CurrencyField, DecimalField, ExpiryField, StrictSerializer
from aforo.api.rows import Row, RowsView
from aforo.api.views import ApiView
from pricing.api.catalog import CodeField
from wallets.api.shapes import (
    CustomerIdField,
    IssuedAnswer,
    KeyedBody,
    LotAnswer,
    MoneyOrUnits,
    UnitField,
    reply,
    resolve_expiry,
)
from wallets.lots import queries
from wallets.models import AutoRefill, DisputeState, TopUp
from wallets.top_ups import disputes, payments, refill, sales


class PaymentBody(StrictSerializer):
    method = serializers.CharField(max_length=50)


class BonusBody(MoneyOrUnits):
    """Money of the top-up's own currency, or units, with what one costs alone."""

    ssp_unit_price = DecimalField(positive=True, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Check that a bonus names neither a currency of its own nor a price of money."""
        if "amount" in attrs and "ssp_unit_price" in attrs:
            raise serializers.ValidationError(
                {"ssp_unit_price": "Money is worth its amount."}, code="invalid"
            )
        if "currency" in attrs:
            raise serializers.ValidationError(
                {"currency": "The bonus has the currency of the top-up."}, code="invalid"
            )
        return super().validate(attrs)


class TopUpBody(KeyedBody):
    customer_id = CustomerIdField()
    amount = DecimalField(positive=True, required=False)
    currency = CurrencyField()
    unit = UnitField(required=False)
    pack = CodeField(required=False)
    payment = PaymentBody(required=False)
    bonus = BonusBody(required=False)
    expires_at = ExpiryField(required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Check that a pack is bought as it is, or else an amount."""
        if "pack" not in attrs:
            if "amount" not in attrs:
                message = "Give an amount, or name a pack."
                raise serializers.ValidationError({"amount": message}, code="required")
            return attrs
        fixed = [name for name in ("amount", "unit", "bonus", "expires_at") if name in attrs]
        if fixed:
            said = dict.fromkeys(fixed, "The pack says it.")
            raise serializers.ValidationError(said, code="invalid")
        return attrs


def _bonus(
    bonus: Decimal | None, metric: str | None, unit_price: Decimal | None
) -> dict[str, str] | None:
    if bonus is None:
        return None
    if metric is None:
        return {"amount": money.plain(bonus)}
    priced = {} if unit_price is None else {"ssp_unit_price": money.plain(unit_price)}
    return {"metric": metric, "quantity": money.plain(bonus), **priced}


class RefillReasonAnswer(serializers.Serializer[Any]):
    """Why a refill was begun; amounts of its currency."""

    available = serializers.CharField()
    threshold = serializers.CharField()
    owed = serializers.CharField()


@extend_schema_field(RefillReasonAnswer(allow_null=True))
class RefillReasonField(serializers.JSONField):
    """Why a refill was begun, as it was kept; null for what was bought otherwise."""


class TopUpAnswer(serializers.ModelSerializer[TopUp]):
    customer_id = serializers.CharField(source="book.key")
    amount = DecimalField()
    credits = DecimalField(allow_null=True)
    pack = serializers.CharField(source="pack.code", read_only=True, allow_null=True)
    bonus = serializers.SerializerMethodField()
    automatic = serializers.SerializerMethodField()
    refill_reason = RefillReasonField(read_only=True)
    disputed = DecimalField()
    dispute_fee = DecimalField()
    refunded = DecimalField()
    tax = DecimalField()
    tax_refunded = DecimalField()
    lots = serializers.SerializerMethodField()

    class Meta:
        model = TopUp
        fields = [
            "id", "customer_id", "status", "channel", "method", "paid_by", "amount", "currency",
            "credit_unit", "credits", "pack", "bonus", "expires_at", "automatic", "refill_reason",
            "created_at", "paid_at", "failed_at", "dispute", "disputed", "dispute_fee", "refunded",
            "taxed_at_sale", "tax", "tax_refunded", "lots",
        ]  # fmt: skip

    def get_bonus(self, top_up: TopUp) -> dict[str, str] | None:
        """Return the bonus of the top-up."""
        metric = None if top_up.bonus_metric is None else top_up.bonus_metric.code
        return _bonus(top_up.bonus, metric, top_up.bonus_unit_price)

    def get_automatic(self, top_up: TopUp) -> bool:
        """Return whether an automatic refill bought it."""
        return top_up.auto_refill_id is not None

    def get_lots(self, top_up: TopUp) -> list[dict[str, Any]]:
        """Return the lots that it bought, as they are now."""
        lots = sorted(top_up.lots.all(), key=lambda lot: lot.id)
        return [queries.describe_lot(lot) for lot in lots]


class TopUpFilter(filters.FilterSet):
    customer_id = filters.CharFilter(field_name="book__key")

    class Meta:
        model = TopUp
        fields = ["customer_id", "status", "channel"]


class TopUpsView(RowsView[TopUp]):
    scope = ApiScope.WALLETS
    names = {"get": "listTopUps", "post": "topUpWallet"}
    refusals = ("unknown_customer", "payment_declined", "in_progress")
    operation = payments.TOP_UP
    serializer_class = TopUpAnswer
    filterset_class = TopUpFilter
    columns = {"automatic": ExpressionWrapper(Q(auto_refill__isnull=False), BooleanField())}
    beside = ("bonus", "bonus_metric__code", "bonus_unit_price")

    def get_queryset(self) -> QuerySet[TopUp]:
        """Return the top-ups of the key's mode."""
        return TopUp.objects.filter(book__livemode=self.livemode)

    def complete(self, rows: Sequence[Row], beside: Sequence[tuple[Any, ...]]) -> None:
        """Add the bonus of each, and the lots that it bought."""
        lots = queries.bought_by([row["id"] for row in rows])
        for row, bonus in zip(rows, beside, strict=True):
            row["bonus"], row["lots"] = _bonus(*bonus), lots[row["id"]]

    @extend_schema(request=TopUpBody, responses={201: IssuedAnswer, 202: IssuedAnswer})
    def post(self, request: Request) -> HttpResponse:
        """Buy cash credits, with the bonus that comes with them; 202 while the payment waits."""
        key, body = self.read_keyed(TopUpBody, request)
        resolve_expiry(body, livemode=self.livemode)
        payment, bonus = body.pop("payment", None), body.pop("bonus", None)
        return reply(
            sales.top_up(
                livemode=self.livemode,
                key=key,
                payment=None if payment is None else sales.TopUpPayment(**payment),
                bonus=None if bonus is None else sales.Bonus(**bonus),
                **body,
            )
        )


class TopUpView(ApiView):
    scope = ApiScope.WALLETS
    names = {"get": "getTopUp"}
    refusals = ("unknown_top_up",)

    def customer_of(self, **ids: Any) -> str | None:
        """Return the customer who bought."""
        return sales.get_top_up(livemode=self.livemode, top_up_id=ids["top_up_id"]).book.key

    @extend_schema(responses=TopUpAnswer)
    def get(self, request: Request, top_up_id: UUID) -> Response:
        """Return a top-up and its lots."""
        found = sales.get_top_up(livemode=self.livemode, top_up_id=top_up_id)
        return Response(TopUpAnswer(found).data)


class DisputeBody(KeyedBody):
    state = serializers.ChoiceField(choices=DisputeState.choices)
    amount = DecimalField(
        positive=True,
        required=False,
        help_text="What is contested, or lost of it; left out all.",
    )
    fee = DecimalField(required=False, help_text="What the dispute costs by now, in all.")


class DisputeAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    customer_id = serializers.CharField()
    dispute = serializers.CharField()
    disputed = serializers.CharField()
    fee = serializers.CharField()
    currency = serializers.CharField()
    owed = serializers.CharField()
    lots = LotAnswer(many=True)
    entry = serializers.UUIDField()


class DisputeView(ApiView):
    scope = ApiScope.WALLETS
    names = {"post": "disputeTopUp"}
    refusals = ("unknown_top_up", "not_disputable", "dispute_state")
    operation = disputes.DISPUTE

    @extend_schema(request=DisputeBody, responses=DisputeAnswer)
    def post(self, request: Request, top_up_id: UUID) -> HttpResponse:
        """Record a dispute: opened freezes the credits, won frees them, lost revokes them, all or
        what is contested.
        """
        key, body = self.read_keyed(DisputeBody, request)
        return reply(disputes.dispute(livemode=self.livemode, top_up_id=top_up_id, key=key, **body))


LONGEST_INTERVAL = 31 * 24 * 60 * 60


class CapField(serializers.IntegerField):
    """A number of refills in a period."""

    def __init__(self) -> None:
        super().__init__(min_value=1, max_value=1_000_000, required=False, allow_null=True)


class AutoRefillBody(StrictSerializer):
    currency = CurrencyField()
    threshold = DecimalField()
    amount = DecimalField(positive=True)
    max_per_day = CapField()
    max_per_month = CapField()
    max_amount_per_day = DecimalField(positive=True, required=False, allow_null=True)
    max_amount_per_month = DecimalField(positive=True, required=False, allow_null=True)
    min_interval = serializers.IntegerField(
        min_value=1,
        max_value=LONGEST_INTERVAL,
        required=False,
        allow_null=True,
        help_text="Seconds between two refills.",
    )
    enabled = serializers.BooleanField()
    method = serializers.CharField(max_length=50, required=False, allow_null=True)


class AutoRefillAnswer(serializers.ModelSerializer[AutoRefill]):
    customer_id = serializers.CharField(source="book.key")
    currency = serializers.CharField(source="wallet.currency")
    threshold = DecimalField()
    amount = DecimalField()
    max_amount_per_day = DecimalField(allow_null=True)
    max_amount_per_month = DecimalField(allow_null=True)
    enabled = serializers.SerializerMethodField()

    class Meta:
        model = AutoRefill
        fields = [
            "customer_id", "currency", "threshold", "amount", "max_per_day", "max_per_month",
            "max_amount_per_day", "max_amount_per_month", "min_interval", "enabled", "method",
            "failures", "next_attempt_at", "switched_off_at",
        ]  # fmt: skip

    def get_enabled(self, rule: AutoRefill) -> bool:
        """Return whether it is on: neither switched off by hand nor by failures."""
        return rule.switched_off_at is None


class AutoRefillQuery(StrictSerializer):
    currency = CurrencyField(required=False)


class AutoRefillView(ApiView):
    scope = ApiScope.WALLETS
    names = {"get": "getAutoRefill", "put": "setAutoRefill"}
    refusals = ("unknown_customer", "no_auto_refill")
    query = AutoRefillQuery

    @extend_schema(parameters=[AutoRefillQuery], responses=AutoRefillAnswer)
    def get(self, request: Request, customer_id: str) -> Response:
        """Return the automatic refill of a wallet, and how its payments went."""
        found = refill.get_auto_refill(
            livemode=self.livemode,
            customer_id=customer_id,
            currency=self.asked(request).get("currency"),
        )
        return Response(AutoRefillAnswer(found).data)

    @extend_schema(request=AutoRefillBody, responses=AutoRefillAnswer)
    def put(self, request: Request, customer_id: str) -> Response:
        """Set the automatic refill of a wallet: at a threshold, at most so often and for so much
        money in a day and a month (UTC), and not too soon after the last one.
        """
        body = self.read(AutoRefillBody, request)
        refill.set_auto_refill(livemode=self.livemode, customer_id=customer_id, **body)
        found = refill.get_auto_refill(
            livemode=self.livemode, customer_id=customer_id, currency=body["currency"]
        )
        return Response(AutoRefillAnswer(found).data)
