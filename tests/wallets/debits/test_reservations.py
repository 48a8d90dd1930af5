"""Reservations by hand: what is held, captured, given back, and what is refused."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from billing.finance import verification
from ledger.models import Entry, LedgerEvent
from tests import factories
from tests.wallets import actions
from tests.wallets.actions import capture, held, reserve, void
from wallets.debits import engine
from wallets.models import Debit, Reservation

pytestmark = pytest.mark.django_db


def customer_of_60() -> Any:
    """Promo 10, bonus 20, cash 30."""
    book = factories.customer()
    factories.grant("cust_1", "10", "PROMO")
    factories.grant("cust_1", "20", "BONUS")
    factories.top_up("cust_1", "30")
    return book


class TestHolding:
    def test_a_hold_is_on_named_lots_in_burn_order_and_leaves_the_rest(self) -> None:
        book = customer_of_60()

        answer = factories.body(reserve("25"))

        assert (answer["status"], answer["held"], answer["overage_expected"]) == ("HELD", "25", "0")
        assert actions.allocations(answer) == [("PROMO", "10"), ("BONUS", "15")]
        assert answer["balance"] == {
            "available": "35",
            "held": "25",
            "by_kind": {"PROMO": "0", "BONUS": "5", "CASH": "30"},
        }
        assert actions.lots(book) == [("PROMO", 10, 10), ("BONUS", 20, 15), ("CASH", 30, 0)]
        entry = Entry.objects.get(pk=answer["entry"])
        assert (entry.event, entry.postings.count()) == (LedgerEvent.HOLD, 0)

    def test_what_is_held_cannot_be_spent_or_held_again(self) -> None:
        customer_of_60()
        held("50")
        before = factories.everything()

        spent = factories.refusal(factories.debit("cust_1", "11"))
        kept = factories.refusal(reserve("10.01"))

        assert spent.code == "insufficient_funds"
        assert {"shortfall": "1", "available": "10"}.items() <= spent.extra.items()
        assert (kept.status, kept.extra["shortfall"]) == (402, "0.01")
        assert factories.everything() == before
        factories.body(factories.debit("cust_1", "10"))

    @pytest.mark.parametrize(("kind", "most"), [("PROMO", "10"), ("BONUS", "20"), ("CASH", "30")])
    def test_one_kind_is_strict(self, kind: str, most: str) -> None:
        book = customer_of_60()
        actions.rules(book, billing_mode="HYBRID")
        before = factories.everything()

        refused = factories.refusal(reserve("31", strategy=kind))

        assert {
            "shortfall": str(31 - int(most)),
            "available": most,
        }.items() <= refused.extra.items()
        assert factories.everything() == before
        assert actions.allocations(factories.body(reserve(most, strategy=kind))) == [(kind, most)]

    def test_units_are_held_and_captured_as_units(self) -> None:
        book = factories.customer()
        factories.metric()
        factories.grant_units("cust_1", "100")
        reserved = factories.body(actions.reserve_units("40"))

        refused = factories.refusal(capture(reserved["id"], "5"))
        answer = factories.body(
            actions.take(
                engine.CaptureRequest(
                    reservation=UUID(reserved["id"]), key="c", quantity=Decimal(25), final=True
                )
            )
        )

        assert (reserved["metric"], reserved["quantity"], reserved["held"]) == (
            "tokens",
            "40",
            "40",
        )
        assert [error.pointer for error in refused.errors] == ["/amount"]
        assert (answer["metric"], answer["quantity"], answer["released"]) == ("tokens", "25", "15")
        assert actions.lots(book) == [("PROMO", 75, 0)]

    @pytest.mark.parametrize("mode", ["PREPAID", "HYBRID", "POSTPAID"])
    def test_units_that_do_not_cover_are_refused_in_every_mode(self, mode: str) -> None:
        book = factories.customer()
        factories.metric()
        factories.grant_units("cust_1", "100")
        book.unit_wallets.update(billing_mode=mode)

        assert factories.refusal(actions.reserve_units("101")).code == "insufficient_funds"

    @pytest.mark.parametrize(
        ("mode", "kinds", "expected"),
        [
            ("HYBRID", [("PROMO", "10"), ("BONUS", "20"), ("CASH", "30")], "40"),
            ("POSTPAID", [("PROMO", "10"), ("BONUS", "20")], "70"),
        ],
    )
    def test_beyond_the_balance_where_an_invoice_follows(
        self, mode: str, kinds: list[tuple[str, str]], expected: str
    ) -> None:
        book = customer_of_60()
        actions.rules(book, billing_mode=mode)

        reserved = factories.body(reserve("100"))
        answer = factories.body(capture(reserved["id"]))

        assert (actions.allocations(reserved), reserved["overage_expected"]) == (kinds, expected)
        assert (answer["amount"], answer["overage"]) == ("100", expected)
        assert actions.allocations(answer) == kinds
        assert verification.verify().ok


class TestOverageLimit:
    """Promo 10, bonus 20, cash 30; HYBRID with a limit of 10."""

    @pytest.fixture(autouse=True)
    def book(self) -> Any:
        book = customer_of_60()
        actions.rules(book, billing_mode="HYBRID", overage_limit=10)
        return book

    def test_what_holds_promise_counts_against_it(self) -> None:
        """8 of 10 are promised: 3 more are refused, to a reservation as to a debit; 2 are not."""
        held("68")
        before = factories.everything()

        second = factories.refusal(reserve("3"))
        debit = factories.refusal(factories.debit("cust_1", "3"))

        assert (second.status, second.code) == (402, "overage_limit")
        assert (debit.status, debit.code) == (402, "overage_limit")
        assert factories.everything() == before
        assert factories.body(reserve("2"))["overage_expected"] == "2"
        assert factories.refusal(reserve("0.01")).code == "overage_limit"

    def test_what_was_accepted_can_be_captured(self) -> None:
        first, second = held("65"), held("5")

        assert factories.body(capture(first))["overage"] == "5"
        assert factories.body(capture(second))["overage"] == "5"
        assert factories.refusal(factories.debit("cust_1", "0.01")).code == "overage_limit"
        assert verification.verify().ok

    @pytest.mark.parametrize("later", ["limit", "SUSPENDED", "PAUSED", "PREPAID"])
    def test_whatever_becomes_of_the_customer(self, book: Any, later: str) -> None:
        """A lower limit, a pause or the end of the subscription take nothing from what was said."""
        reserved = held("68")
        changed: dict[str, dict[str, Any]] = {
            "limit": {"overage_limit": 1},
            "PREPAID": {"billing_mode": "PREPAID", "overage_limit": None},
        }
        actions.rules(book, **changed.get(later, {"spend_state": later}))
        before = factories.everything()

        beyond = factories.refusal(capture(reserved, "69", allow_more=True))

        codes = {"limit": "overage_limit", "PREPAID": "insufficient_funds"}
        assert beyond.code == codes.get(later, later.lower())
        assert factories.everything() == before
        assert factories.body(capture(reserved))["overage"] == "8"
        assert verification.verify().ok

    @pytest.mark.parametrize("ended_by", [void, lambda reserved: capture(reserved, "1")])
    def test_what_has_ended_promises_nothing(self, ended_by: Any) -> None:
        reserved = held("70")
        assert factories.refusal(reserve("1")).code == "overage_limit"

        factories.body(ended_by(reserved))

        assert Reservation.objects.get(pk=reserved).promised == 0
        assert factories.body(reserve("60"))["held"] != "0"

    def test_parts_keep_the_rest_promised(self) -> None:
        """Of 70, 65 are captured in a part: 60 were held, 5 were overage, 5 are still promised."""
        reserved = held("70")

        part = factories.body(capture(reserved, "65", final=False))

        assert part["overage"] == "5"
        assert Reservation.objects.get(pk=reserved).promised == 5
        assert factories.refusal(factories.debit("cust_1", "1")).code == "overage_limit"
        assert factories.body(capture(reserved, "4"))["overage"] == "4"
        assert factories.body(factories.debit("cust_1", "1"))["overage"] == "1"

    def test_it_is_none_where_units_or_one_kind_are_asked_for(self) -> None:
        held("70")
        before = factories.everything()

        assert factories.refusal(reserve("1", strategy="CASH")).code == "insufficient_funds"
        assert factories.everything() == before

    def test_in_one_list(self) -> None:
        """8 and 8 in one list: the second is refused; after a void of the first it is not."""
        asks = [
            engine.ReserveRequest("cust_1", f"r{n}", amount=Decimal(68 - 60 * n)) for n in (0, 1)
        ]
        first, second = engine.execute(asks, livemode=False)
        assert factories.refusal(second).code == "overage_limit"

        lot = UUID(factories.body(first)["id"])
        again = engine.ReserveRequest("cust_1", "r3", amount=Decimal(68))
        voided, third = engine.execute([engine.VoidRequest(lot, "v"), again], livemode=False)

        assert factories.body(voided)["released"] == "60"
        assert factories.body(third)["overage_expected"] == "8"

    def test_timed_out_it_promises_nothing_though_nobody_swept(self) -> None:
        book = factories.clocked_customer("cust_2")
        actions.rules(book, billing_mode="HYBRID", overage_limit=10)
        factories.top_up("cust_2", "5")
        actions.rules(book, billing_mode="HYBRID", overage_limit=10)
        factories.body(reserve("15", key="cust_2", expires_in=60))
        assert factories.refusal(reserve("1", key="cust_2")).code == "overage_limit"

        actions.set_clock(factories.START + timedelta(seconds=60))

        assert factories.body(reserve("15", key="cust_2"))["overage_expected"] == "10"


class TestCapturing:
    def test_all_of_it_without_a_word(self) -> None:
        book = customer_of_60()
        reserved = held("35")

        answer = factories.body(capture(reserved))

        assert actions.allocations(answer) == [("PROMO", "10"), ("BONUS", "20"), ("CASH", "5")]
        assert (answer["status"], answer["released"], answer["held"]) == ("CAPTURED", "0", "0")
        assert actions.accounts() == {
            "1010": Decimal(30), "2100": Decimal(-25), "4000": Decimal(-5),
        }  # fmt: skip
        debit = Debit.objects.get(book=book)
        assert (str(debit.reservation), debit.quantity) == (reserved, 35)

    def test_parts_until_one_is_final(self) -> None:
        book = customer_of_60()
        reserved = held("35")

        first = factories.body(capture(reserved, "4", final=False))
        second = factories.body(capture(reserved, "7", final=False))
        last = factories.body(capture(reserved, "12", final=True))

        assert actions.allocations(first) == [("PROMO", "4")]
        assert (first["status"], first["held"], first["released"]) == ("HELD", "31", "0")
        assert actions.allocations(second) == [("PROMO", "6"), ("BONUS", "1")]
        assert actions.allocations(last) == [("BONUS", "12")]
        assert (last["status"], last["held"], last["released"]) == ("CAPTURED", "0", "12")
        assert actions.lots(book) == [("PROMO", 0, 0), ("BONUS", 7, 0), ("CASH", 30, 0)]
        assert factories.refusal(capture(reserved, "1")).code == "reservation_closed"
        assert verification.verify().ok

    def test_the_order_is_the_one_of_the_reservation(self) -> None:
        """A cheaper lot that comes later does not push itself before what was held."""
        book = factories.customer()
        factories.top_up("cust_1", "30")
        reserved = held("20")
        factories.grant("cust_1", "50", "PROMO")

        answer = factories.body(capture(reserved, "15"))

        assert actions.allocations(answer) == [("CASH", "15")]
        assert actions.lots(book) == [("CASH", 15, 0), ("PROMO", 50, 0)]

    def test_more_than_is_left_of_it(self) -> None:
        customer_of_60()
        reserved = held("20")
        factories.body(capture(reserved, "5", final=False))
        before = factories.everything()

        refused = factories.refusal(capture(reserved, "55.000000000001"))

        assert (refused.status, refused.code) == (402, "insufficient_funds")
        assert refused.extra["shortfall"] == "0.000000000001"
        assert factories.everything() == before

    @pytest.mark.parametrize("more", [True, False])
    def test_more_is_debited_as_usual(self, more: bool) -> None:
        book = customer_of_60()
        reserved = held("20")

        answer = factories.body(capture(reserved, "45", allow_more=more))

        assert actions.allocations(answer) == [
            ("PROMO", "10"), ("BONUS", "10"), ("BONUS", "10"), ("CASH", "15"),
        ]  # fmt: skip
        assert actions.lots(book) == [("PROMO", 0, 0), ("BONUS", 0, 0), ("CASH", 15, 0)]
        assert verification.verify().ok

    def test_more_that_is_not_there_is_refused_whole(self) -> None:
        customer_of_60()
        reserved = held("20")
        before = factories.everything()

        refused = factories.refusal(capture(reserved, "61", allow_more=True))

        assert (refused.code, refused.extra["shortfall"]) == ("insufficient_funds", "1")
        assert factories.everything() == before

    def test_nothing_is_left_after_all_of_it_in_parts(self) -> None:
        customer_of_60()
        reserved = held("20")
        factories.body(capture(reserved, "20", final=False))

        assert factories.refusal(capture(reserved)).code == "nothing_left"
        assert factories.body(void(reserved))["released"] == "0"

    def test_twice_with_other_keys(self) -> None:
        customer_of_60()
        reserved = held("20")
        factories.body(capture(reserved))
        before = factories.everything()

        refused = factories.refusal(capture(reserved))

        assert (refused.status, refused.code) == (409, "reservation_closed")
        assert factories.everything() == before


class TestVoiding:
    def test_it_gives_everything_back(self) -> None:
        book = customer_of_60()
        before = actions.lots(book)
        reserved = held("35")

        answer = factories.body(void(reserved))

        assert (answer["status"], answer["released"], answer["captured"]) == ("VOIDED", "35", "0")
        assert answer["balance"]["available"] == "60"
        assert actions.lots(book) == before

    def test_it_gives_back_what_was_not_captured(self) -> None:
        book = customer_of_60()
        reserved = held("35")
        factories.body(capture(reserved, "12", final=False))

        answer = factories.body(void(reserved))

        assert (answer["released"], answer["captured"]) == ("23", "12")
        assert actions.lots(book) == [("PROMO", 0, 0), ("BONUS", 18, 0), ("CASH", 30, 0)]

    @pytest.mark.parametrize("ended_by", [capture, void])
    def test_what_has_ended_cannot_be_voided(self, ended_by: Any) -> None:
        customer_of_60()
        reserved = held("35")
        factories.body(ended_by(reserved))
        before = factories.everything()

        refused = factories.refusal(void(reserved))

        assert (refused.status, refused.code) == (409, "reservation_closed")
        assert factories.everything() == before


class TestStoppedWallets:
    @pytest.mark.parametrize(("state", "code"), [("SUSPENDED", "suspended"), ("PAUSED", "paused")])
    def test_existing_holds_are_honoured_and_new_ones_refused(self, state: str, code: str) -> None:
        book = customer_of_60()
        first, second = held("10"), held("10")
        actions.rules(book, spend_state=state)
        before = factories.everything()

        refused = factories.refusal(reserve("1"))
        beyond = factories.refusal(capture(first, "11", allow_more=True))

        assert (refused.status, refused.code) == (409, code)
        assert beyond.code == code
        assert factories.everything() == before
        assert factories.body(capture(first))["amount"] == "10"
        assert factories.body(void(second))["released"] == "10"
