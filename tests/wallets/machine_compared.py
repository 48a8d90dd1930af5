"""A customer beside its model: how both are asked, and what always holds of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

from django.db import transaction
from hypothesis.stateful import RuleBasedStateMachine, invariant

from aforo.errors import DomainError
from billing.finance import verification
from billing.finance.closing import tie_outs
from ledger.models import Book
from tests import factories
from tests.factories import START
from tests.wallets import actions, reference_credits, reference_model, reference_records
from wallets import statements
from wallets.debits import engine
from wallets.models import CreditLot, Hold, ReservationStatus


class Compared(RuleBasedStateMachine):
    """One customer on a test clock, beside its model; each run leaves the database as it was."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.stack.enter_context(transaction.atomic())
        self.book = factories.clocked_customer()
        self.ids: dict[reference_records.Hold | reference_records.Debit, UUID] = {}
        self.last: tuple[engine.Request, engine.Result] | None = None
        self.swept = True
        self.model = reference_model.Customer(START)

    def teardown(self) -> None:
        """See that as of each past day the accounts balance and are what movements add up to."""
        try:
            for day in range((self.model.now - START).days + 1):
                until = (START + timedelta(days=day)).date()
                found = tie_outs.of_day(livemode=False, until=until)
                assert [tie for tie in found if not tie.holds] == [], until
        finally:
            transaction.set_rollback(True)
            self.stack.close()

    # What always holds.

    @invariant()
    def the_books_prove_themselves(self) -> None:
        found = verification.verify()
        assert found.ok, found.first_bad

    @invariant()
    def the_statement_says_what_the_model_says(self) -> None:
        book = Book.objects.select_related("test_clock").get(pk=self.book.pk)
        shown: dict[str, Any] = statements.statement(book=book, now=self.model.now, pending={})
        for name, key in (("wallets", "currency"), ("unit_wallets", "metric")):
            for wallet in shown[name]:
                mine = [lot for lot in self.model.lots if lot.wallet == wallet[key]]
                free = {
                    kind: sum(
                        lot.free for lot in mine if lot.kind == kind and lot.lives(self.model.now)
                    )
                    for kind in reference_credits.ORDER
                }
                assert {k: Fraction(v) for k, v in wallet["by_kind"].items()} == free
                assert Fraction(wallet["available"]) == sum(free.values())
                assert Fraction(wallet["held"]) == sum(lot.held for lot in mine)

    @invariant()
    def lots_and_accounts_are_the_models(self) -> None:
        """On record too, once everything due was done."""
        if not self.swept:
            return
        found = CreditLot.objects.order_by("granted_at", "id")
        assert [
            (lot.kind, Fraction(lot.remaining), Fraction(lot.held), lot.expires_at, lot.rolled)
            for lot in found
        ] == [(lot.kind, lot.left, lot.held, lot.dies, lot.rolled) for lot in self.model.lots]
        assert [Fraction(lot.carrying_remaining) for lot in found] == [
            lot.carried for lot in self.model.lots
        ]
        expected = {code: amount for code, amount in self.model.balances() if amount != 0}
        assert {code: Fraction(amount) for code, amount in actions.accounts().items()} == expected
        held = sum(hold.open for hold in Hold.objects.filter(reservation__status="HELD"))
        assert held == sum(lot.held for lot in found)
        ended = Hold.objects.exclude(reservation__status=ReservationStatus.HELD)
        assert all(hold.open == 0 for hold in ended)

    # How the two are asked.

    def asked(self, wallet: str, amount: Decimal, strategy: str) -> dict[str, Any]:
        unit: dict[str, Any] = (
            {"amount": amount, "currency": "USD"}
            if wallet == "USD"
            else {"metric": wallet, "quantity": amount}
        )
        return {"customer_id": "cust_1", "key": actions.fresh("k"), "strategy": strategy, **unit}

    def both(self, request: engine.Request, ask: Callable[[], object]) -> None:
        """Run an operation in the engine and in the model: both refuse alike, or the same lots pay
        the same parts.
        """
        answer = self.called(lambda: actions.take(request), ask)
        if answer is None:
            return
        body, expected = answer
        self.last = request, self.result
        if isinstance(expected, reference_records.Debit | reference_records.Hold):
            self.ids[expected] = UUID(body["id"])
            parts = (
                expected.burned if isinstance(expected, reference_records.Debit) else expected.parts
            )
            lots = CreditLot.objects.order_by("granted_at", "id").values_list("id", flat=True)
            numbers = {str(lot): number for number, lot in enumerate(lots)}
            assert [(numbers[a["lot"]], Fraction(a["amount"])) for a in body["allocations"]] == [
                (lot.number, part) for lot, part in parts
            ]
        if isinstance(expected, reference_records.Debit):
            assert Fraction(body["overage"]) == expected.overage
            assert Fraction(body.get("uncovered", 0)) == expected.uncovered

    def called(
        self, call: Callable[[], engine.Result], ask: Callable[[], object]
    ) -> tuple[dict[str, Any], Any] | None:
        """Call both; None where both refuse, for the same reason."""
        try:
            expected = ask()
        except reference_records.Refused as refused:
            expected = str(refused)
        try:
            self.result = call()
        except DomainError as error:
            self.result = error
        if isinstance(self.result, DomainError):
            assert self.result.code == expected
            return None
        assert not isinstance(expected, str), f"it was to be refused: {expected}"
        return factories.body(self.result), expected
