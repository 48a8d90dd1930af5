"""`/v1/wallets/debit`, `/v1/wallets/debits`: credits out, and back again."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request

from aforo.access.models import ApiScope
from aforo.api.fields import DecimalField, StrictSerializer
from aforo.api.views import ApiView
from pricing.models import CreditKind
from wallets.api import usual_debits
from wallets.api.batches import BatchAnswer, BatchField, answer_each, read_one
from wallets.api.shapes import (
    SPENDING,
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


class DebitBody(MoneyOrUnits):
    customer_id = CustomerIdField()
    strategy = serializers.ChoiceField(choices=BurnStrategy.choices, default=BurnStrategy.WATERFALL)
    attributes = AttributesField(required=False)
    idempotency_key = serializers.CharField(max_length=255, required=False)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        """Validate a debit; one that is written as usual needs no look at every field."""
        return usual_debits.read(data) or super().run_validation(data)


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
    refusals = ("unknown_customer", *SPENDING)
    operation = engine.DebitRequest.operation

    @extend_schema(request=DebitBody, responses=DebitAnswer)
    def post(self, request: Request) -> HttpResponse:
        """Burn credits in the customer's burn order, or of one kind; the answer lists every lot
        that paid.
        """
        key, body = self.read_keyed(DebitBody, request)
        debit = engine.DebitRequest(key=key, **body)
        return reply(COMBINER.execute(debit, livemode=self.livemode))


class BatchBody(StrictSerializer):
    debits = BatchField(noun="debit")


class DebitBatchView(ApiView):
    scope = ApiScope.WALLETS
    names = {"post": "debitWallets"}

    @extend_schema(request=BatchBody, responses=BatchAnswer)
    def post(self, request: Request) -> HttpResponse:
        """Run 1 to 1,000 debits; each succeeds or fails alone, and the results are in order."""
        debits = self.read(BatchBody, request)["debits"]
        return answer_each(
            request,
            [read_one(DebitBody, engine.DebitRequest, raw) for raw in debits],
            lambda asked: execute_list(asked, livemode=self.livemode),
        )


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
