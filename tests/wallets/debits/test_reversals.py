"""Reversals by hand: the overage first, then the lots, last burned first."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from rest_framework.test import APIClient

from aforo.errors import DomainError
from billing.finance import verification
from ledger.models import Book, Entry, LedgerEvent
from tests import factories
from tests.factories import FEBRUARY, START
from tests.wallets import actions
from wallets.debits import engine, reversals
from wallets.models import CreditLot, Debit

pytestmark = pytest.mark.django_db


def reverse(debit: str, amount: str | None = None, *, name: str = "", **terms: Any) -> Any:
    """Reverse a debit and return the answer."""
    asked = None if amount is None else Decimal(amount)
    answer = reversals.reverse(
        livemode=False,
        debit_id=UUID(debit),
        key=name or actions.fresh("reverse"),
        reason="test",
        amount=asked,
        **terms,
    )
    return factories.body(answer)


def refused(debit: str, amount: str | None = None, **terms: Any) -> DomainError:
    """Return the refusal of a call, and check that nothing changed."""
    before = factories.everything()
    with pytest.raises(DomainError) as caught:
        reverse(debit, amount, **terms)
    assert factories.everything() == before
    return caught.value


def burned(amount: str, **terms: Any) -> str:
    return str(factories.body(factories.debit("cust_1", amount, **terms))["id"])


def customer_of_50() -> Book:
    """Promo 10 and a bundle of cash 20 with bonus 20, bought for 20.00."""
    book = factories.clocked_customer()
    factories.grant("cust_1", "10", "PROMO")
    actions.bundle("20", "20")
    return book


class TestOrder:
    def test_the_whole_of_it_restores_lots_and_accounts_exactly(self) -> None:
        book = customer_of_50()
        factories.debit("cust_1", "1.000000000007", "before")
        state = actions.lots(book), actions.accounts()
        carried = list(CreditLot.objects.order_by("id").values_list("carrying_remaining"))
        debit = burned("37.123456789012")

        answer = reverse(debit)

        assert (actions.lots(book), actions.accounts()) == state
        assert list(CreditLot.objects.order_by("id").values_list("carrying_remaining")) == carried
        assert actions.allocations(answer) == [
            ("CASH", "8.123456789019"), ("BONUS", "20"), ("PROMO", "8.999999999993"),
        ]  # fmt: skip
        assert (answer["reversed"], answer["lapsed"]) == ("37.123456789012", "0")
        assert verification.verify().ok

    def test_part_by_part_goes_on_where_the_last_part_ended(self) -> None:
        """Burned: promo 10, bonus 20, cash 5. Back: cash 5 and bonus 2; bonus 11; the rest."""
        book = customer_of_50()
        debit = burned("35")

        parts = [actions.allocations(reverse(debit, part)) for part in ("7", "11", "17")]

        assert parts == [
            [("CASH", "5"), ("BONUS", "2")],
            [("BONUS", "11")],
            [("BONUS", "7"), ("PROMO", "10")],
        ]
        assert actions.lots(book) == [("PROMO", 10, 0), ("CASH", 20, 0), ("BONUS", 20, 0)]
        assert actions.accounts() == {
            "1010": Decimal(20), "2100": Decimal(-10), "2110": Decimal(-10),
        }  # fmt: skip

    def test_the_overage_goes_first(self) -> None:
        book = customer_of_50()
        actions.rules(book, billing_mode="HYBRID", overage_limit=Decimal(12))
        debit = burned("62")

        first = reverse(debit, "5")
        assert (first["overage"], first["allocations"]) == ("5", [])
        assert burned("5") != debit  # The limit has room for these 5 again.
        second = reverse(debit, "9")

        assert (second["overage"], actions.allocations(second)) == ("7", [("CASH", "2")])
        assert Debit.objects.get(pk=debit).open_overage == 0
        assert verification.verify().ok

    def test_a_captured_lot_that_gave_twice_gets_both_back(self) -> None:
        """Held promo 10 and bonus 5; beyond it bonus 15 and cash 3."""
        book = customer_of_50()
        reserved = actions.held("15")
        debit = factories.body(actions.capture(reserved, "33", allow_more=True))["id"]

        first = actions.allocations(reverse(debit, "20"))
        rest = actions.allocations(reverse(debit))

        assert first == [("CASH", "3"), ("BONUS", "15"), ("BONUS", "2")]
        assert rest == [("BONUS", "3"), ("PROMO", "10")]
        assert actions.lots(book) == [("PROMO", 10, 0), ("CASH", 20, 0), ("BONUS", 20, 0)]

    def test_units(self) -> None:
        book = factories.customer()
        factories.metric()
        factories.grant_units("cust_1", "100")
        debit = factories.body(
            actions.take(
                engine.DebitRequest(
                    customer_id="cust_1", key="d", metric="tokens", quantity=Decimal(30)
                )
            )
        )["id"]

        assert [e.pointer for e in refused(debit, "5").errors] == ["/amount"]
        answer = reverse(debit, quantity=Decimal(12))

        assert (answer["metric"], answer["quantity"]) == ("tokens", "12")
        assert actions.lots(book) == [("PROMO", 82, 0)]

    def test_what_came_back_can_be_burned_and_taken_back_again(self) -> None:
        book = customer_of_50()
        first = burned("50")
        reverse(first)
        second = burned("50", name="again")
        reverse(second, "15")

        assert actions.lots(book) == [("PROMO", 0, 0), ("CASH", 15, 0), ("BONUS", 0, 0)]
        assert actions.accounts() == {
            "1010": Decimal(20), "2100": Decimal("-7.5"),
            "4000": Decimal("-2.5"), "4010": Decimal(-10),
        }  # fmt: skip
        assert verification.verify().ok


class TestLapsedLots:
    @pytest.mark.parametrize("swept", [True, False])
    def test_what_returns_to_one_lapses_at_once_and_the_answer_says_so(self, swept: bool) -> None:
        book = factories.clocked_customer()
        end = START + timedelta(days=14)
        factories.grant("cust_1", "10", "PROMO", expires_at=end)
        factories.top_up("cust_1", "30")
        debit = burned("16")
        later = end + timedelta(days=1)
        factories.advance(book, later) if swept else actions.set_clock(later)

        answer = reverse(debit)

        assert [(a["kind"], a["amount"], a["lapsed"]) for a in answer["allocations"]] == [
            ("CASH", "6", False), ("PROMO", "10", True),
        ]  # fmt: skip
        assert (answer["lapsed"], answer["balance"]["available"]) == ("10", "30")
        assert actions.lots(book) == [("PROMO", 0, 0), ("CASH", 30, 0)]
        assert Entry.objects.get(book=book, event=LedgerEvent.EXPIRY).occurred_at == later
        factories.advance(book, FEBRUARY)
        assert actions.lots(book) == [("PROMO", 0, 0), ("CASH", 30, 0)]
        assert verification.verify().ok

    def test_lapsed_bought_credits_become_breakage(self) -> None:
        """100 + 20 for 100.00, all lapsed with 60 burned: 20 bonus and 40 cash."""
        book = factories.clocked_customer()
        actions.bundle("100", "20", expires_at=FEBRUARY)
        debit = burned("60")
        factories.advance(book, FEBRUARY)
        lapsed = actions.accounts()

        reverse(debit, "10")

        assert lapsed["4200"] == Decimal(-50)
        assert actions.accounts()["4200"] == Decimal("-58.333333333333")
        assert "2100" not in actions.accounts()
        assert verification.verify().ok


class TestRefusals:
    def test_more_than_is_left_of_it(self) -> None:
        customer_of_50()
        debit = burned("35")
        reverse(debit, "30")

        error = refused(debit, "5.000000000001")

        assert (error.status, error.code) == (422, "exceeds_debit")
        assert [e.pointer for e in error.errors] == ["/amount"]

    @pytest.mark.parametrize("asked", [None, "1"])
    def test_all_of_it_was_taken_back(self, asked: str | None) -> None:
        customer_of_50()
        debit = burned("35")
        reverse(debit)

        error = refused(debit, asked)

        assert (error.status, error.code) == (409, "already_reversed")

    def test_an_unknown_debit_and_one_of_the_other_mode(self, live_api: APIClient) -> None:
        customer_of_50()
        debit = burned("35")
        before = factories.everything()

        assert (refused(str(uuid4())).status, refused(str(uuid4())).code) == (404, "unknown_debit")
        answer = live_api.post(
            f"/v1/wallets/debits/{debit}/reverse", {"reason": "x", "idempotency_key": "k"}
        )
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_debit")
        assert factories.everything() == before

    def test_overage_that_is_on_an_invoice(self) -> None:
        factories.offering(billing_mode="HYBRID")
        book = factories.clocked_customer()
        factories.subscription("cust_1")
        factories.top_up("cust_1", "10")
        debit = burned("15")
        factories.advance(book, FEBRUARY)

        error = refused(debit)

        assert (error.status, error.code) == (409, "overage_invoiced")

    def test_a_key_that_was_used_and_a_repeat(self, api: APIClient) -> None:
        customer_of_50()
        debit = burned("35", name="k")
        address = f"/v1/wallets/debits/{debit}/reverse"

        used = api.post(address, {"reason": "x", "idempotency_key": "k"})
        first = api.post(address, {"reason": "x", "amount": "5", "idempotency_key": "r"})
        before = factories.everything()
        again = api.post(address, {"reason": "x", "amount": 5.0, "idempotency_key": "r"})
        other = api.post(address, {"reason": "x", "amount": "6", "idempotency_key": "r"})

        assert (used.status_code, used.json()["code"]) == (422, "key_reused")
        assert (first.status_code, first.content) == (200, again.content)
        assert again["Idempotency-Replayed"] == "true"
        assert other.json()["errors"][0]["pointer"] == "/amount"
        assert factories.everything() == before
