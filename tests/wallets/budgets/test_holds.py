"""What reservations hold of budgets, and what comes back to the window it was taken from."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from aforo.protocol.idempotency import Answer
from billing.finance import verification
from ledger.models import Book, Entry
from tests import factories
from tests.factories import START
from tests.wallets import actions
from tests.wallets.budgets.spending import (
    SEARCH,
    capture,
    counted,
    debit,
    refused,
    reserve,
    take,
    void,
)
from wallets.debits import engine, reversals
from wallets.models import BudgetCounter, Debit

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def book() -> Book:
    """A customer on a clock with 1,000 in cash."""
    made = factories.clocked_customer()
    factories.top_up("cust_1", "1000")
    return made


class TestHolds:
    def test_holds_count_while_they_are_held(self) -> None:
        factories.budget("b", "10")
        first = reserve("6")

        assert refused(debit("5")).extra["held"] == "6"
        capture(first, "2")

        assert counted() == [("2", "0")]
        second = reserve("8")
        assert counted() == [("2", "8")]
        void(second)
        assert counted() == [("2", "0")]
        assert verification.verify().ok

    def test_a_refused_reservation_changes_nothing(self) -> None:
        factories.budget("b", "10")
        before = factories.everything()

        result = take(
            engine.ReserveRequest(
                customer_id="cust_1", key="r", amount=Decimal(11), currency="USD",
                attributes=SEARCH,
            )
        )  # fmt: skip

        refused(result)
        assert factories.everything() == before

    def test_a_part_stays_held_until_its_end(self, book: Book) -> None:
        factories.budget("b", "10")
        held = reserve("6", expires_in=600)
        capture(held, "2", final=False)
        assert counted() == [("2", "4")]

        factories.set_clock(book, START + timedelta(seconds=600))
        debit("8")

        assert counted() == [("10", "0")]
        assert verification.verify().ok

    def test_the_sweep_gives_back_what_timed_out(self, book: Book) -> None:
        factories.budget("b", "10")
        reserve("6", expires_in=600)

        factories.advance(book, START + HOUR)

        assert counted() == [("0", "0")]
        assert isinstance(debit("10"), Answer)

    def test_a_capture_stays_in_its_holds_window_and_its_excess_in_its_own(
        self, book: Book
    ) -> None:
        factories.budget("b", "10", window="HOUR")
        held = reserve("6", expires_in=7_200)
        factories.set_clock(book, START + HOUR)

        result = capture(held, "9", allow_more=True)

        assert isinstance(result, Answer)
        assert counted() == [("6", "0"), ("3", "0")]
        assert verification.verify().ok

    def test_excess_that_a_budget_refuses_changes_nothing(self, book: Book) -> None:
        factories.budget("b", "10")
        held = reserve("6")
        debit("3")
        before = factories.everything()

        refused(capture(held, "8", allow_more=True))

        assert factories.everything() == before
        assert isinstance(capture(held, "7", allow_more=True), Answer)
        assert counted() == [("10", "0")]

    def test_a_void_gives_back_to_the_window_it_took_from(self, book: Book) -> None:
        factories.budget("b", "10", window="HOUR")
        held = reserve("6", expires_in=7_200)
        factories.set_clock(book, START + HOUR)
        debit("4")

        void(held)

        assert counted() == [("0", "0"), ("4", "0")]

    def test_what_was_held_before_the_budget_is_none_of_it(self) -> None:
        held = reserve("6")
        factories.budget("b", "10")

        capture(held, "8", allow_more=True)

        assert counted() == [("2", "0")]
        assert verification.verify().ok


class TestReversals:
    def reverse(self, amount: str | None = None) -> None:
        debit_id = Debit.objects.latest("occurred_at", "id").pk
        reversals.reverse(
            livemode=False, debit_id=debit_id, key=actions.fresh("x"), reason="failed",
            amount=None if amount is None else Decimal(amount),
        )  # fmt: skip

    def test_they_give_back_to_the_window_of_the_debit(self, book: Book) -> None:
        factories.budget("b", "10", window="DAY")
        debit("7")
        factories.set_clock(book, START + timedelta(days=1))

        self.reverse("2")

        assert counted() == [("5", "0")]
        self.reverse()
        assert counted() == [("0", "0")]
        assert verification.verify().ok

    def test_of_a_capture_beyond_its_hold_the_excess_goes_first(self, book: Book) -> None:
        factories.budget("b", "10", window="HOUR")
        held = reserve("6", expires_in=7_200)
        factories.set_clock(book, START + HOUR)
        capture(held, "9", allow_more=True)

        self.reverse("4")

        assert counted() == [("5", "0"), ("0", "0")]
        self.reverse()
        assert counted() == [("0", "0"), ("0", "0")]
        assert verification.verify().ok


def test_the_entry_says_what_it_counted() -> None:
    factories.budget("b", "10")
    held = reserve("6")
    capture(held, "4")
    counter = str(BudgetCounter.objects.get().pk)

    documents = Entry.objects.filter(event__in=["HOLD", "CAPTURE"]).order_by("sequence")

    assert [each.document["budgets"] for each in documents] == [
        {counter: {"held": "6"}}, {counter: {"used": "4", "held": "-6"}},
    ]  # fmt: skip
