"""`/v1/wallets`: credits in, credits out."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request

from aforo.access.models import Scope
from aforo.api import problems
from aforo.api.fields import CurrencyField, DecimalField, StrictSerializer
from aforo.api.idempotency import required_key, respond
from aforo.api.renderers import to_json
from aforo.api.views import ApiView
from aforo.errors import DomainError, FieldError, Invalid, TooLarge
from ledger import services as ledger
from pricing.models import Kind
from wallets import engine, services
from wallets.answers import Answer
from wallets.combiner import COMBINER
from wallets.models import Movement, Source, Strategy

MAX_BATCH = 1_000


class CustomerIdField(serializers.CharField):
    """The client's own id of a customer."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=64, **kwargs)


class MoneyOrUnits(StrictSerializer):
    """Either `amount` (with a currency) or `metric` and `quantity`, never both."""

    amount = DecimalField(positive=True, required=False)
    currency = CurrencyField(required=False)
    metric = serializers.CharField(max_length=255, required=False)
    quantity = DecimalField(positive=True, required=False)

    currency_required = False

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Hold the two forms apart."""
        is_money = "amount" in attrs
        if is_money == ("quantity" in attrs):
            raise serializers.ValidationError(
                {"amount": "Give amount, or metric and quantity."}, code="required"
            )
        if is_money and "metric" in attrs:
            raise serializers.ValidationError(
                {"metric": "An amount has no metric."}, code="invalid"
            )
        if not is_money and "metric" not in attrs:
            raise serializers.ValidationError({"metric": "Name the metric."}, code="required")
        if not is_money and "currency" in attrs:
            raise serializers.ValidationError({"currency": "Units have none."}, code="invalid")
        if is_money and self.currency_required and "currency" not in attrs:
            raise serializers.ValidationError(
                {"currency": "Name the currency."}, code="currency_required"
            )
        return attrs


class DebitBody(MoneyOrUnits):
    customer_id = CustomerIdField()
    strategy = serializers.ChoiceField(choices=Strategy.choices, default=Strategy.WATERFALL)
    idempotency_key = serializers.CharField(max_length=255, required=False)


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


class AllocationAnswer(serializers.Serializer[Any]):
    lot = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=Kind.choices)
    amount = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]
    expires_at = serializers.DateTimeField(allow_null=True)
    balance_after = serializers.CharField()


class BalanceAnswer(serializers.Serializer[Any]):
    available = serializers.CharField()
    held = serializers.CharField()
    by_kind = serializers.DictField(child=serializers.CharField())


class DebitAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    customer_id = serializers.CharField()
    amount = serializers.CharField(required=False)
    currency = serializers.CharField(required=False)
    metric = serializers.CharField(required=False)
    quantity = serializers.CharField(required=False)
    strategy = serializers.CharField()
    allocations = AllocationAnswer(many=True)
    overage = serializers.CharField()
    balance = BalanceAnswer()
    entry = serializers.UUIDField()
    occurred_at = serializers.DateTimeField()


class LotAnswer(serializers.Serializer[Any]):
    lot = serializers.UUIDField()
    currency = serializers.CharField(required=False)
    metric = serializers.CharField(required=False)
    kind = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]
    granted = serializers.CharField()
    remaining = serializers.CharField()
    held = serializers.CharField()
    carrying = serializers.CharField()
    priority = serializers.IntegerField()
    effective_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)
    frozen_at = serializers.DateTimeField(allow_null=True)


class IssuedAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    customer_id = serializers.CharField()
    status = serializers.CharField(required=False)
    amount = serializers.CharField(required=False)
    currency = serializers.CharField(required=False)
    metric = serializers.CharField(required=False)
    quantity = serializers.CharField(required=False)
    lots = LotAnswer(many=True)
    entry = serializers.UUIDField()


def reply(answer: Answer) -> HttpResponse:
    """Send an answer, fresh or replayed, verbatim."""
    return respond(answer.body, answer.status, replayed=answer.replayed)


class DebitView(ApiView):
    scope = Scope.WALLETS

    @extend_schema(request=DebitBody, responses=DebitAnswer)
    def post(self, request: Request) -> HttpResponse:
        """Burn credits in the customer's burn order, or of one kind; name every lot that paid."""
        body = self.read(DebitBody, request)
        key = required_key(request, body.pop("idempotency_key", None))
        debit = engine.DebitRequest(key=key, **body)
        result = COMBINER.debit(debit, livemode=self.livemode)
        if isinstance(result, DomainError):
            raise result
        return reply(result)


class BatchBody(StrictSerializer):
    debits = serializers.ListField(child=serializers.DictField(), min_length=1)


class BatchAnswer(serializers.Serializer[Any]):
    results = serializers.ListField(child=serializers.DictField())


class DebitBatchView(ApiView):
    scope = Scope.WALLETS

    @extend_schema(request=BatchBody, responses=BatchAnswer)
    def post(self, request: Request) -> HttpResponse:
        """Take 1 to 1,000 debits; each succeeds or fails alone, and the results are in order."""
        debits = self.read(BatchBody, request)["debits"]
        if len(debits) > MAX_BATCH:
            raise TooLarge(f"A batch holds at most {MAX_BATCH} debits.")
        parsed = [self._read_one(raw) for raw in debits]
        asked = [one for one in parsed if isinstance(one, engine.DebitRequest)]
        answered = iter(engine.debit(asked, livemode=self.livemode) if asked else ())
        results = [
            next(answered) if isinstance(one, engine.DebitRequest) else one for one in parsed
        ]
        request_id = request._request.request_id  # type: ignore[attr-defined]
        return HttpResponse(
            f'{{"results":[{",".join(_result(result, request_id) for result in results)}]}}',
            content_type="application/json",
        )

    def _read_one(self, raw: dict[str, Any]) -> engine.DebitRequest | DomainError:
        """Validate one debit; what is wrong with it is its own answer."""
        serializer = DebitBody(data=raw)
        if not serializer.is_valid():
            return problems.invalid(serializer.errors)
        body = dict(serializer.validated_data)
        key = body.pop("idempotency_key", "")
        if not key:
            detail = "Every debit of a batch has its idempotency_key."
            return Invalid([FieldError("/idempotency_key", "idempotency_key_required", detail)])
        return engine.DebitRequest(key=key, **body)


def _result(result: engine.Result, request_id: str) -> str:
    """Show one result of a batch: the single answer or problem, with its status."""
    if isinstance(result, DomainError):
        return to_json({"status": result.status, **problems.body(result, request_id)})
    replayed = ',"replayed":true' if result.replayed else ""
    return f'{{"status":{result.status}{replayed},{result.body[1:]}'


class MovementAnswer(serializers.ModelSerializer[Movement]):
    entry = serializers.UUIDField(source="entry_id")
    event = serializers.CharField(source="entry.event")
    occurred_at = serializers.DateTimeField(source="entry.occurred_at")
    lot = serializers.UUIDField(source="lot_id")
    credit = serializers.CharField(source="lot.kind")
    currency = serializers.SerializerMethodField()
    metric = serializers.SerializerMethodField()
    quantity = DecimalField()
    carrying = DecimalField()
    balance_after = DecimalField()
    held_after = DecimalField()

    class Meta:
        model = Movement
        fields = [
            "id", "kind", "credit", "currency", "metric", "quantity", "carrying", "balance_after",
            "held_after", "lot", "entry", "event", "occurred_at",
        ]  # fmt: skip

    def get_currency(self, movement: Movement) -> str | None:
        """Name the currency of a money credit."""
        return movement.lot.currency if movement.lot.unit_wallet is None else None

    def get_metric(self, movement: Movement) -> str | None:
        """Name the metric of a unit credit."""
        unit_wallet = movement.lot.unit_wallet
        return None if unit_wallet is None else unit_wallet.metric.code


class MovementsView(ApiView, generics.ListAPIView[Movement]):
    """Every change of a customer's credits, newest first, with what each left in its lot."""

    scope = Scope.WALLETS
    serializer_class = MovementAnswer
    filterset_fields = ["kind", "lot"]

    def get_queryset(self) -> QuerySet[Movement]:
        """Give the movements of one customer."""
        if getattr(self, "swagger_fake_view", False):
            return Movement.objects.none()
        book = ledger.get_book(livemode=self.livemode, key=self.kwargs["customer_id"])
        return Movement.objects.filter(book=book).select_related(
            "entry", "lot__unit_wallet__metric"
        )


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
