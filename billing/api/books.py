"""Endpoints over all of the books: a customer's wallets, test clocks, verification."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.access.models import ApiScope
from aforo.api.fields import DecimalField, StrictSerializer, TimeField
from aforo.api.views import ApiView
from aforo.errors import FieldError, Invalid
from aforo.sandbox.models import TestClock
from aforo.sandbox.services import create_clock, now_for
from billing.cycle_end import renewal
from billing.finance import verification
from billing.jobs import test_clocks
from billing.realtime import pending_usage
from billing.subscriptions import spend_limits
from ledger.entries import books
from pricing.models import BillingMode
from wallets import statements
from wallets.api.budgets import BudgetFigures, BudgetTerms
from wallets.api.shapes import CreditsField, CustomerIdField, LotAnswer
from wallets.models import SpendState


class WalletAnswer(serializers.Serializer[Any]):
    currency = serializers.CharField()
    available = serializers.CharField()
    held = serializers.CharField()
    pending = serializers.CharField()
    by_kind = serializers.DictField(child=serializers.CharField())
    billing_mode = serializers.ChoiceField(choices=BillingMode.choices)
    state = serializers.ChoiceField(choices=SpendState.choices)


class UnitWalletAnswer(serializers.Serializer[Any]):
    metric = serializers.CharField()
    available = serializers.CharField()
    held = serializers.CharField()
    pending = serializers.CharField()
    by_kind = serializers.DictField(child=serializers.CharField())


class BudgetOfCustomer(BudgetTerms):
    usage = BudgetFigures(
        allow_null=True, help_text="Of one per value: the value that has taken the most."
    )


class StatementAnswer(serializers.Serializer[Any]):
    customer_id = serializers.CharField()
    wallets = WalletAnswer(many=True)
    unit_wallets = UnitWalletAnswer(many=True)
    lots = LotAnswer(many=True)
    overage = serializers.DictField(child=serializers.CharField(), required=False)
    uncovered = serializers.DictField(
        child=serializers.CharField(),
        required=False,
        help_text="What captures left that nobody pays, ever.",
    )
    budgets = BudgetOfCustomer(many=True, required=False, help_text="Where there are any.")
    as_of = serializers.DateTimeField(required=False)


class StatementQuery(StrictSerializer):
    as_of = TimeField(required=False)


class StatementView(ApiView):
    scope = ApiScope.WALLETS
    names = {"get": "getWallets"}
    refusals = ("unknown_customer",)
    query = StatementQuery

    @extend_schema(parameters=[StatementQuery], responses=StatementAnswer)
    def get(self, request: Request, customer_id: str) -> Response:
        """Return a customer's wallets, lots, and the metered usage they have yet to pay.

        With `as_of`, as they were at that moment.
        """
        asked = self.asked(request)
        book = books.get_book(livemode=self.livemode, key=customer_id)
        now, moment = now_for(book), asked.get("as_of")
        if moment is not None and moment > now:
            raise Invalid([FieldError("/as_of", "in_the_future", "It must not be later.")])
        if moment is not None:
            return Response(statements.statement_as_of(book=book, moment=moment))
        has_cycles = renewal.renew_if_due(book=book, now=now)
        forecast = pending_usage.pending(book=book, now=now) if has_cycles else {}
        return Response(statements.statement(book=book, now=now, pending=forecast))


class LimitsBody(StrictSerializer):
    currency = CreditsField()
    low_balance_threshold = DecimalField(required=False, allow_null=True)
    overage_limit = DecimalField(required=False, allow_null=True)
    debt_limit = DecimalField(required=False, allow_null=True)


class LimitsAnswer(serializers.Serializer[Any]):
    customer_id = serializers.CharField()
    currency = serializers.CharField()
    low_balance_threshold = DecimalField(allow_null=True)
    overage_limit = DecimalField(allow_null=True)
    debt_limit = DecimalField(allow_null=True)


class LimitsView(ApiView):
    scope = ApiScope.WALLETS
    names = {"patch": "updateWalletLimits"}
    refusals = ("unknown_customer",)

    @extend_schema(request=LimitsBody, responses=LimitsAnswer)
    def patch(self, request: Request, customer_id: str) -> Response:
        """Set a customer's own limits on a wallet; null removes one, what is left out stays.

        The answer has the overage and debt limits in force: the customer's own, else the
        offering's.
        """
        body = self.read(LimitsBody, request)
        currency = body.pop("currency")
        wallet = spend_limits.set_limits(
            livemode=self.livemode, customer_id=customer_id, currency=currency, limits=body
        )
        shown = {
            "customer_id": customer_id,
            "currency": wallet.currency,
            "low_balance_threshold": wallet.low_balance_threshold,
            "overage_limit": wallet.overage_limit,
            "debt_limit": wallet.debt_limit,
        }
        return Response(LimitsAnswer(shown).data)


class ClockBody(StrictSerializer):
    now = TimeField()


class ClockAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    now = serializers.DateTimeField()


class FailureAnswer(serializers.Serializer[Any]):
    customer_id = serializers.CharField()
    step = serializers.CharField()
    reason = serializers.CharField()


class AdvanceAnswer(ClockAnswer):
    failures = FailureAnswer(many=True)


def _show(clock: TestClock) -> dict[str, object]:
    return {"id": clock.pk, "now": clock.now}


class ClocksView(ApiView):
    scope = ApiScope.BILLING
    names = {"post": "createTestClock"}
    refusals = ("test_clock_in_live_mode",)
    operation = "billing.test_clocks.create"

    @extend_schema(request=ClockBody, responses={201: ClockAnswer})
    def post(self, request: Request) -> HttpResponse:
        """Create a test clock."""
        body = self.read(ClockBody, request)
        return self.once(
            request,
            content=body,
            make=lambda: _show(create_clock(livemode=self.livemode, now=body["now"])),
        )


class AdvanceView(ApiView):
    scope = ApiScope.BILLING
    names = {"post": "advanceTestClock"}
    refusals = ("unknown_test_clock", "clock_advancing")

    @extend_schema(request=ClockBody, responses={200: AdvanceAnswer, 202: AdvanceAnswer})
    def post(self, request: Request, clock_id: UUID) -> Response:
        """Advance a clock: everything that falls due on the way is done; 202 when there is more to
        do.

        `failures` lists the customers whose due work failed; the others have advanced.
        """
        body = self.read(ClockBody, request)
        advanced = test_clocks.advance(clock_id=clock_id, livemode=self.livemode, to=body["now"])
        shown = {
            **_show(advanced.clock),
            "failures": [failure.describe() for failure in advanced.failures],
        }
        return Response(shown, status=200 if advanced.done else 202)


class BadEntryAnswer(serializers.Serializer[Any]):
    entry = serializers.CharField()
    reason = serializers.CharField()


class ProofAnswer(serializers.Serializer[Any]):
    ok = serializers.BooleanField()
    entries = serializers.IntegerField()
    notes = serializers.ListField(child=serializers.CharField())
    first_bad = BadEntryAnswer(required=False)


class VerifyQuery(StrictSerializer):
    customer_id = CustomerIdField(required=False)


class VerifyView(ApiView):
    scope = ApiScope.LEDGER
    names = {"get": "verifyLedger"}
    refusals = ("unknown_customer",)
    query = VerifyQuery

    @extend_schema(parameters=[VerifyQuery], responses=ProofAnswer)
    def get(self, request: Request) -> Response:
        """Verify the books: chains, lots, movements, liability accounts."""
        customer_id = self.asked(request).get("customer_id")
        found = verification.verify(livemode=self.livemode, customer_id=customer_id)
        answer: dict[str, object] = {
            "ok": found.ok,
            "entries": found.entries,
            "notes": list(found.notes),
        }
        if found.first_bad is not None:
            answer["first_bad"] = {
                "entry": found.first_bad.entry,
                "reason": found.first_bad.reason,
            }
        return Response(answer)
