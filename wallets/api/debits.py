"""`/v1/wallets/debit`, `/v1/wallets/debits`: credits out, and back again."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request

from aforo.access.models import ApiScope
from aforo.api import problems
from aforo.api.fields import DecimalField, JsonField, StrictSerializer
from aforo.api.views import ApiView, validate
from aforo.errors import DomainError, FieldError, Invalid, TooLarge
from aforo.protocol.exact_json import to_json
from pricing.models import CreditKind
from wallets.api.shapes import (
    AllocationAnswer,
    AttributesField,
    BalanceAnswer,
    CustomerIdField,
    KeyedBody,
    MeasuredAnswer,
    MoneyOrUnits,
    reply,
)
from wallets.debits import engine, reversals
from wallets.debits.combiner import COMBINER, execute_list
from wallets.models import BurnStrategy

MAX_BATCH = 1_000


class DebitBody(MoneyOrUnits):
    customer_id = CustomerIdField()
    strategy = serializers.ChoiceField(choices=BurnStrategy.choices, default=BurnStrategy.WATERFALL)
    attributes = AttributesField(required=False)
    idempotency_key = serializers.CharField(max_length=255, required=False)


class DebitAnswer(MeasuredAnswer):
    strategy = serializers.CharField()
    attributes = AttributesField(required=False)
    allocations = AllocationAnswer(many=True)
    overage = serializers.CharField()
    balance = BalanceAnswer()
    entry = serializers.UUIDField()
    occurred_at = serializers.DateTimeField()


class DebitView(ApiView):
    scope = ApiScope.WALLETS
    names = {"post": "debitWallet"}
    refusals = (
        "unknown_customer",
        "insufficient_funds",
        "budget_exceeded",
        "overage_limit",
        "suspended",
        "paused",
        "cycle_settling",
    )
    operation = engine.DebitRequest.operation

    @extend_schema(request=DebitBody, responses=DebitAnswer)
    def post(self, request: Request) -> HttpResponse:
        """Burn credits in the customer's burn order, or of one kind; the answer lists every lot
        that paid.
        """
        key, body = self.read_keyed(DebitBody, request)
        debit = engine.DebitRequest(key=key, **body)
        return reply(COMBINER.execute(debit, livemode=self.livemode))


@extend_schema_field(
    {"type": "array", "minItems": 1, "maxItems": MAX_BATCH, "items": {"type": "object"}}
)
class DebitsField(JsonField):
    """1 to 1,000 debits, each of which is validated alone."""

    default_error_messages = {"not_a_list": "Debits are a list.", "empty": "Send a debit."}

    def to_internal_value(self, data: Any) -> list[Any]:
        """Check that it is a list of 1 to 1,000.

        Raises: TooLarge.
        """
        if not isinstance(data, list):
            self.fail("not_a_list")
        if not data:
            self.fail("empty")
        if len(data) > MAX_BATCH:
            raise TooLarge(f"A batch holds at most {MAX_BATCH} debits.")
        return data


class BatchBody(StrictSerializer):
    debits = DebitsField()


class BatchAnswer(serializers.Serializer[Any]):
    results = serializers.ListField(child=serializers.DictField())


class DebitBatchView(ApiView):
    scope = ApiScope.WALLETS
    names = {"post": "debitWallets"}

    @extend_schema(request=BatchBody, responses=BatchAnswer)
    def post(self, request: Request) -> HttpResponse:
        """Run 1 to 1,000 debits; each succeeds or fails alone, and the results are in order."""
        debits = self.read(BatchBody, request)["debits"]
        parsed = [self._read_one(raw) for raw in debits]
        asked = [one for one in parsed if isinstance(one, engine.DebitRequest)]
        answered = iter(execute_list(asked, livemode=self.livemode) if asked else ())
        results = [
            next(answered) if isinstance(one, engine.DebitRequest) else one for one in parsed
        ]
        request_id = request._request.request_id  # type: ignore[attr-defined]
        return HttpResponse(
            f'{{"results":[{",".join(_result(result, request_id) for result in results)}]}}',
            content_type="application/json",
        )

    def _read_one(self, raw: object) -> engine.DebitRequest | DomainError:
        """Validate one debit; a fault is the answer of this debit alone."""
        try:
            body = validate(DebitBody, raw)
        except serializers.ValidationError as error:
            return problems.invalid(error.detail)
        key = body.pop("idempotency_key", "")
        if not key:
            detail = "Every debit of a batch has its idempotency_key."
            return Invalid([FieldError("/idempotency_key", "idempotency_key_required", detail)])
        return engine.DebitRequest(key=key, **body)


def _result(result: engine.Result, request_id: str) -> str:
    """Return one result of a batch: the single answer or problem, with its status."""
    if isinstance(result, DomainError):
        return to_json({"status": result.status, **problems.body(result, request_id)})
    replayed = ',"replayed":true' if result.replayed else ""
    return f'{{"status":{result.status}{replayed},{result.body[1:]}'


class ReverseBody(KeyedBody):
    amount = DecimalField(positive=True, required=False)
    quantity = DecimalField(positive=True, required=False)
    reason = serializers.CharField(max_length=500)


class ReversedLotAnswer(serializers.Serializer[Any]):
    lot = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=CreditKind.choices)
    amount = serializers.CharField()
    lapsed = serializers.BooleanField()
    balance_after = serializers.CharField()


class ReverseAnswer(MeasuredAnswer):
    debit = serializers.UUIDField()
    allocations = ReversedLotAnswer(many=True)
    overage = serializers.CharField()
    lapsed = serializers.CharField()
    reversed = serializers.CharField()
    balance = BalanceAnswer()
    entry = serializers.UUIDField()
    occurred_at = serializers.DateTimeField()


class ReverseView(ApiView):
    scope = ApiScope.WALLETS
    names = {"post": "reverseDebit"}
    refusals = ("unknown_debit", "already_reversed", "overage_invoiced", "cycle_settling")
    operation = reversals.REVERSE

    @extend_schema(request=ReverseBody, responses=ReverseAnswer)
    def post(self, request: Request, debit_id: UUID) -> HttpResponse:
        """Reverse a debit, whole or in part: overage first, then the lots, last burned first."""
        key, body = self.read_keyed(ReverseBody, request)
        return reply(reversals.reverse(livemode=self.livemode, debit_id=debit_id, key=key, **body))
