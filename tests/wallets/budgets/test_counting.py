"""What debits take of budgets, up to the limit and no further, by hand."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from aforo.protocol.idempotency import Answer
from aforo.webhooks.models import OutboxEvent
from billing.finance import verification
from billing.models import Subscription
from ledger.models import Book
from tests import factories
from tests.factories import START
from tests.wallets import actions
from tests.wallets.budgets.spending import SEARCH, counted, debit, refused, reserve, take, void
from wallets.budgets import budgets
from wallets.debits import engine
from wallets.models import Reservation

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def book() -> Book:
    """A customer on a clock with 1,000 in cash."""
    made = factories.clocked_customer()
    factories.top_up("cust_1", "1000")
    return made


class TestLimit:
    def test_up_to_the_limit_and_no_further(self) -> None:
        factories.budget("b", "10")
        debit("7")
        before = factories.everything()

        error = refused(debit("4"))

        assert error.extra == {
            "budget": "b", "value": None, "limit": "10", "used": "7", "held": "0",
            "resets_at": None, "also": [], "skipped": (), "offers": [],
        }  # fmt: skip
        assert factories.everything() == before
        assert isinstance(debit("3"), Answer)
        refused(debit("0.000000000001"))
        assert counted() == [("10", "0")]
        assert verification.verify().ok

    def test_zero_refuses_everything(self) -> None:
        factories.budget("b", "0")
        before = factories.everything()

        refused(debit("0.01"))

        assert factories.everything() == before

    def test_what_does_not_match_is_not_counted(self) -> None:
        factories.budget("b", "5", match={"team": "search", "model": "*"})

        for attributes in ({}, SEARCH, {"model": "large"}, {"team": "ads", "model": "large"}):
            assert isinstance(debit("50", attributes), Answer)

        assert counted() == []
        assert isinstance(debit("5", {"team": "search", "model": "large", "user": "u"}), Answer)
        refused(debit("1", {"team": "search", "model": "small"}))

    def test_each_value_has_the_limit(self) -> None:
        factories.budget("b", "5", per="user")
        ann, bob = {**SEARCH, "user": "ann"}, {**SEARCH, "user": "bob"}
        debit("5", ann)

        assert refused(debit("1", ann)).extra["value"] == "ann"
        assert isinstance(debit("4", bob), Answer)
        assert isinstance(debit("50", SEARCH), Answer)
        assert (counted("b", "ann"), counted("b", "bob")) == ([("5", "0")], [("4", "0")])

    def test_all_that_match_apply_and_all_that_refuse_are_listed(self) -> None:
        factories.budget("z", "100")
        factories.budget("c", "10")
        factories.budget("a", "10", per="team")
        factories.budget("soft", "1", hard=False)
        debit("8")

        error = refused(debit("3"))

        assert error.extra["budget"] == "a"
        assert error.extra["value"] == "search"
        also: Any = error.extra["also"]
        assert [each["budget"] for each in also] == ["c"]
        assert [counted(code, value) for code, value in (("z", ""), ("soft", ""))] == [
            [("8", "0")], [("8", "0")],
        ]  # fmt: skip

    def test_a_call_may_take_no_more_than_its_most(self) -> None:
        factories.budget("b", "100", max_per_call=Decimal(5))

        assert refused(debit("6")).extra["max_per_call"] == "5"
        assert isinstance(debit("5"), Answer)

    def test_in_a_list_each_counts_before_the_next(self) -> None:
        factories.budget("b", "10")
        asked = [
            engine.DebitRequest(
                customer_id="cust_1", key=f"k{n}", amount=Decimal(4), currency="USD",
                attributes=SEARCH,
            )
            for n in range(4)
        ]  # fmt: skip

        results = engine.execute(asked, livemode=False)

        assert [isinstance(result, Answer) for result in results] == [True, True, False, False]
        assert counted() == [("8", "0")]

    def test_units_count_in_budgets_of_their_metric(self) -> None:
        factories.metric()
        factories.grant_units("cust_1", "1000")
        factories.budget("tokens", "100", metric="tokens")

        def units(quantity: int) -> engine.Result:
            return take(
                engine.DebitRequest(
                    customer_id="cust_1",
                    key=actions.fresh("u"),
                    metric="tokens",
                    quantity=Decimal(quantity),
                    attributes=SEARCH,
                )
            )

        assert isinstance(units(100), Answer)
        refused(units(1))
        assert isinstance(debit("500"), Answer)

    def test_overage_counts(self, book: Book) -> None:
        actions.rules(book, billing_mode="HYBRID")
        factories.budget("b", "1200")

        assert factories.body(debit("1200"))["overage"] == "200"

        assert counted() == [("1200", "0")]
        refused(debit("1"))


class TestChanges:
    def change(self, **changes: Any) -> None:
        budgets.change_budget(livemode=False, customer_id="cust_1", code="b", changes=changes)

    def test_a_limit_below_what_is_used_refuses_from_then_on(self) -> None:
        factories.budget("b", "10")
        debit("7")

        self.change(limit=Decimal(5))

        assert refused(debit("1")).extra["limit"] == "5"
        self.change(limit=Decimal(8))
        assert isinstance(debit("1"), Answer)

    def test_an_inactive_one_neither_counts_nor_refuses(self) -> None:
        factories.budget("b", "10")
        self.change(active=False)

        debit("50")
        self.change(active=True)

        assert counted() == []
        refused(debit("11"))

    def test_one_that_ends_leaves_its_holds_and_frees_its_code(self, book: Book) -> None:
        factories.budget("b", "10")
        held = reserve("6")

        budgets.end_budget(livemode=False, customer_id="cust_1", code="b")

        assert not Book.objects.get(pk=book.pk).has_budgets
        assert Reservation.objects.get().status == "HELD"
        factories.budget("b", "20")
        debit("20")
        void(held)
        assert counted() == [("0", "0"), ("20", "0")]
        assert verification.verify().ok


class TestWindows:
    def test_it_begins_anew(self, book: Book) -> None:
        factories.budget("b", "10", window="DAY")
        debit("10")

        assert refused(debit("1")).extra["resets_at"] == START + timedelta(days=1)
        factories.set_clock(book, START + timedelta(days=1))

        assert isinstance(debit("10"), Answer)
        assert counted() == [("10", "0"), ("10", "0")]

    def test_a_cycle_is_that_of_the_subscription(self) -> None:
        factories.offering(billing_mode="PREPAID")
        book = factories.clocked_customer("cust_2", START + timedelta(days=3))
        factories.subscription("cust_2")
        factories.top_up("cust_2", "100")
        factories.budget("b", "10", customer="cust_2", window="CYCLE")
        ask: dict[str, Any] = {"customer_id": "cust_2", "currency": "USD", "attributes": SEARCH}

        def spend(key: str) -> engine.Result:
            return take(engine.DebitRequest(key=key, amount=Decimal(10), **ask))

        assert isinstance(spend("a"), Answer)
        resets_at: Any = refused(spend("b")).extra["resets_at"]
        assert resets_at == Subscription.objects.get().current_ends_at
        factories.advance(book, resets_at)

        assert isinstance(spend("c"), Answer)


class TestEvents:
    def told(self, type: str) -> list[dict[str, Any]]:  # noqa: A002
        return [e.payload for e in OutboxEvent.objects.filter(type=type).order_by("id")]

    def test_alerts_once_for_each_crossing(self) -> None:
        factories.budget("b", "10", alert_at=[50, 80, 100])
        for amount in ("4", "1", "1", "4"):
            debit(amount)

        assert [alert["percent"] for alert in self.told("budget.alert")] == [50, 80, 100]
        first = self.told("budget.alert")[0]
        assert (first["budget"], first["customer_id"], first["limit"]) == ("b", "cust_1", "10")

    def test_a_hold_that_comes_and_goes_alerts_once(self) -> None:
        factories.budget("b", "10", alert_at=[50])

        for _ in range(2):
            void(reserve("5"))

        assert len(self.told("budget.alert")) == 1

    def test_a_refusal_is_told_once_a_minute(self, book: Book) -> None:
        factories.budget("b", "1")
        debit("2")
        debit("2")
        factories.set_clock(book, START + timedelta(minutes=1))
        debit("3")

        assert [told["budget"] for told in self.told("budget.exceeded")] == ["b", "b"]
        assert self.told("debit.declined") == []


def test_at_most_so_many_values_live(monkeypatch: pytest.MonkeyPatch, book: Book) -> None:
    monkeypatch.setattr("wallets.budgets.counting.MAX_VALUES", 2)
    factories.budget("b", "10", per="task", match={"task": "*"}, window="DAY")
    for task in ("t1", "t2", "t1"):
        assert isinstance(debit("1", {"task": task}), Answer)
    before = factories.everything()

    error = factories.refusal(debit("1", {"task": "t3"}))

    assert (error.status, error.code) == (422, "too_many_values")
    assert factories.everything() == before
    factories.set_clock(book, START + timedelta(days=1))
    assert isinstance(debit("1", {"task": "t3"}), Answer)
