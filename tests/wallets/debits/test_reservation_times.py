"""When a reservation ends by itself, exactly, and what becomes of lots that lapse meanwhile."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from aforo.webhooks.models import OutboxEvent
from billing.finance import verification
from billing.jobs import due_work, test_clocks
from billing.models import Settlement, Subscription
from billing.usage import ingest
from ledger.entries import books as ledger_books
from ledger.models import Book, Entry, LedgerEvent
from tests import factories
from tests.factories import FEBRUARY, START
from tests.wallets import actions
from tests.wallets.actions import MINUTE, capture, held, reserve, void
from wallets.debits import engine, reversals
from wallets.models import Reservation, ReservationStatus, Wallet
from wallets.top_ups import refunds

pytestmark = pytest.mark.django_db

TICK = timedelta(microseconds=1)
END = START + 10 * MINUTE


def customer_of_10() -> Book:
    book = factories.clocked_customer()
    factories.top_up("cust_1", "10")
    return book


def held_until_end(amount: str = "6") -> str:
    return held(amount, expires_in=600)


class TestItsMoment:
    """Nothing sweeps in these: what is due is exact by itself."""

    def test_one_tick_before_it_holds(self) -> None:
        customer_of_10()
        reserved = held_until_end()
        actions.set_clock(END - TICK)

        assert factories.refusal(factories.debit("cust_1", "5")).extra["available"] == "4"
        assert factories.body(capture(reserved, "1"))["status"] == "CAPTURED"

    def test_its_end_is_told_once_whoever_comes_first(self) -> None:
        book = customer_of_10()
        reserved = held_until_end()
        actions.set_clock(END + MINUTE)

        for number in range(2):
            factories.debit("cust_1", "1", f"debit_{number}")
        factories.advance(book, END + 2 * MINUTE)

        told = OutboxEvent.objects.get(type="reservation.expired")
        assert told.occurred_at == END
        assert told.payload == {
            "customer_id": "cust_1",
            "reservation": reserved,
            "currency": "USD",
            "released": "6",
            "captured": "0",
        }

    @pytest.mark.parametrize("end_it", [capture, void])
    def test_at_its_moment_it_is_over(self, end_it: Any) -> None:
        customer_of_10()
        reserved = held_until_end()
        actions.set_clock(END)
        before = factories.everything()

        refused = factories.refusal(end_it(reserved))

        assert (refused.status, refused.code) == (409, "reservation_expired")
        assert factories.everything() == before

    def test_what_it_held_is_free_at_once(self) -> None:
        book = customer_of_10()
        reserved = held_until_end()
        actions.set_clock(END)

        answer = factories.body(factories.debit("cust_1", "10"))

        assert answer["balance"]["available"] == "0"
        ended = Reservation.objects.get(pk=reserved)
        assert (ended.status, ended.ended_at) == (ReservationStatus.EXPIRED, END)
        released = Entry.objects.get(book=book, event=LedgerEvent.RELEASE)
        assert (released.occurred_at, released.document["why"]) == (END, "timed out")
        assert verification.verify().ok

    def test_it_reads_as_over_before_anybody_recorded_it(self, api: APIClient) -> None:
        customer_of_10()
        reserved = held_until_end()
        actions.set_clock(END)
        before = factories.everything()

        shown = api.get(f"/v1/wallets/reservations/{reserved}").json()
        wallet = api.get("/v1/wallets/cust_1").json()["wallets"][0]

        assert (shown["status"], shown["held"]) == ("EXPIRED", "0")
        assert shown["ended_at"] == "2026-01-01T00:10:00Z"
        assert (wallet["available"], wallet["held"]) == ("10", "0")
        assert factories.everything() == before

    @pytest.mark.parametrize(
        ("status", "before_its_end", "at_its_end"), [("HELD", 1, 0), ("EXPIRED", 0, 1)]
    )
    def test_the_list_finds_it_by_what_it_is_now(
        self, api: APIClient, status: str, before_its_end: int, at_its_end: int
    ) -> None:
        customer_of_10()
        held_until_end()
        address = f"/v1/wallets/reservations?status={status}"

        actions.set_clock(END - TICK)
        assert len(api.get(address).json()["data"]) == before_its_end
        actions.set_clock(END)
        assert len(api.get(address).json()["data"]) == at_its_end

    def test_it_is_over_for_a_refund_and_in_the_answer_of_a_reversal(self) -> None:
        customer_of_10()
        burned = factories.body(factories.debit("cust_1", "3"))["id"]
        held_until_end()
        actions.set_clock(END)

        back = reversals.reverse(livemode=False, debit_id=burned, key="back", reason="test")
        paid = refunds.refund(
            livemode=False, customer_id="cust_1", key="paid", amount=Decimal(10), currency="USD",
            reason="test",
        )  # fmt: skip

        assert factories.body(back)["balance"] == {
            "available": "10", "held": "0", "by_kind": {"PROMO": "0", "BONUS": "0", "CASH": "10"},
        }  # fmt: skip
        assert factories.body(paid)["refunded"] == "10"

    def test_a_part_that_was_captured_stays_burned(self) -> None:
        book = customer_of_10()
        reserved = held_until_end()
        factories.body(capture(reserved, "2", final=False))

        factories.advance(book, END)

        assert actions.lots(book) == [("CASH", 8, 0)]
        assert Reservation.objects.get(pk=reserved).captured == 2

    def test_a_list_of_refusals_writes_no_end_down(self) -> None:
        customer_of_10()
        held_until_end()
        actions.set_clock(END)
        before = factories.everything()

        assert factories.refusal(factories.debit("cust_1", "11")).extra["available"] == "10"
        assert factories.everything() == before

    def test_several_end_in_the_order_of_their_moments(self) -> None:
        book = customer_of_10()
        for seconds, amount in ((300, "1"), (100, "2"), (200, "3")):
            held(amount, expires_in=seconds)

        factories.advance(book, END)

        released = Entry.objects.filter(book=book, event=LedgerEvent.RELEASE).order_by("sequence")
        assert [(e.occurred_at - START).seconds for e in released] == [100, 200, 300]
        assert actions.lots(book) == [("CASH", 10, 0)]

    @pytest.mark.parametrize("nothing_held", ["reserved beyond the balance", "captured in parts"])
    def test_one_that_holds_nothing_ends_too(self, nothing_held: str) -> None:
        """A clock that passes its moment goes on, and no sweep finds it again."""
        book = customer_of_10()
        actions.rules(book, billing_mode="HYBRID")
        if nothing_held == "captured in parts":
            reserved = held_until_end()
            factories.body(capture(reserved, "6", final=False))
        else:
            factories.body(factories.debit("cust_1", "10"))
            reserved = held_until_end()

        factories.advance(book, END)

        assert Reservation.objects.get(pk=reserved).status == ReservationStatus.EXPIRED

    def test_the_sweep_ends_what_hangs_on_no_clock(self) -> None:
        book = factories.customer()
        factories.top_up("cust_1", "10")
        reserved = held_until_end()
        at = Reservation.objects.get(pk=reserved).expires_at

        due_work.expire(until=at - TICK)
        assert actions.lots(book) == [("CASH", 10, 6)]
        due_work.expire(until=at)
        assert actions.lots(book) == [("CASH", 10, 0)]
        before = factories.everything()
        due_work.expire(until=at)
        assert factories.everything() == before


class TestALotThatLapsesMeanwhile:
    """Promo 10 lapses after five minutes; 6 of it are held for ten."""

    @pytest.fixture
    def book(self) -> Book:
        book = factories.clocked_customer()
        factories.grant("cust_1", "10", "PROMO", expires_at=START + 5 * MINUTE)
        return book

    def test_the_held_part_outlives_it_and_is_captured(self, book: Book) -> None:
        reserved = held_until_end()
        factories.advance(book, START + 5 * MINUTE)
        assert actions.lots(book) == [("PROMO", 6, 6)]

        answer = factories.body(capture(reserved))

        assert actions.allocations(answer) == [("PROMO", "6")]
        assert actions.lots(book) == [("PROMO", 0, 0)]
        lapsed = Entry.objects.filter(book=book, event=LedgerEvent.EXPIRY)
        assert [e.occurred_at for e in lapsed] == [START + 5 * MINUTE]

    @pytest.mark.parametrize("swept", [True, False])
    def test_what_is_released_lapses_at_once(self, book: Book, swept: bool) -> None:
        reserved = held_until_end()
        later = START + 6 * MINUTE
        factories.advance(book, later) if swept else actions.set_clock(later)

        answer = factories.body(capture(reserved, "4"))

        assert answer["released"] == "2"
        assert answer["balance"]["available"] == "0"
        factories.advance(book, later)
        assert actions.lots(book) == [("PROMO", 0, 0)]
        lapsed = Entry.objects.filter(book=book, event=LedgerEvent.EXPIRY).order_by("occurred_at")
        assert [e.occurred_at for e in lapsed] == [START + 5 * MINUTE, later]
        assert verification.verify().ok

    def test_voided_it_lapses_at_the_moment_of_the_void(self, book: Book) -> None:
        reserved = held_until_end("10")
        factories.advance(book, START + 7 * MINUTE)
        assert actions.lots(book) == [("PROMO", 10, 10)]

        answer = factories.body(void(reserved))

        assert (answer["released"], answer["balance"]["available"]) == ("10", "0")
        assert actions.lots(book) == [("PROMO", 0, 0)]

    def test_timed_out_it_lapses_at_that_moment(self, book: Book) -> None:
        held_until_end("10")

        factories.advance(book, START + 20 * MINUTE)

        lapsed = Entry.objects.get(book=book, event=LedgerEvent.EXPIRY)
        assert (lapsed.occurred_at, actions.lots(book)) == (END, [("PROMO", 0, 0)])

    def test_at_the_same_moment_the_hold_ends_first(self, book: Book) -> None:
        held("10", expires_in=300)

        factories.advance(book, START + 5 * MINUTE)

        events = (
            Entry.objects.filter(book=book).order_by("sequence").values_list("event", flat=True)
        )
        assert list(events) == [
            LedgerEvent.GRANT,
            LedgerEvent.HOLD,
            LedgerEvent.RELEASE,
            LedgerEvent.EXPIRY,
        ]
        assert actions.lots(book) == [("PROMO", 0, 0)]

    def test_a_new_hold_cannot_be_put_on_it(self, book: Book) -> None:
        actions.set_clock(START + 5 * MINUTE)

        assert factories.refusal(reserve("1")).extra["available"] == "0"


class TestArrears:
    """PREPAID: cash 10 is all held when 4,000 tokens at .002 = 8.00 fall due."""

    @pytest.fixture
    def book(self) -> Book:
        factories.offering(billing_mode="PREPAID")
        book = factories.clocked_customer()
        factories.subscription("cust_1")
        factories.top_up("cust_1", "10")
        factories.advance(book, START + timedelta(days=20))
        ingest.ingest(
            livemode=False,
            events=[factories.event("cust_1", 4_000, "e", START + timedelta(days=5))],
            received_at=timezone.now(),
        )
        return book

    def test_what_is_released_pays_them_first(self, book: Book) -> None:
        reserved = held("10", expires_in=30 * 24 * 3600)
        factories.advance(book, FEBRUARY)
        assert Settlement.objects.get(book=book).arrears == 8
        assert Subscription.objects.get().status == "SUSPENDED"

        factories.body(capture(reserved, "3", final=False))
        assert Subscription.objects.get().status == "SUSPENDED"
        factories.body(void(reserved))

        assert Settlement.objects.get(book=book).arrears_paid == 7
        assert actions.lots(book) == [("CASH", 0, 0)]
        assert Subscription.objects.get().status == "SUSPENDED"
        assert verification.verify().ok

    def test_timed_out_it_pays_them_and_lifts_the_suspension(self, book: Book) -> None:
        held("10", expires_in=20 * 24 * 3600)

        factories.advance(book, FEBRUARY + timedelta(days=9))

        assert Settlement.objects.order_by("cycle").first().arrears_paid == 8  # type: ignore[union-attr]
        assert actions.lots(book) == [("CASH", 2, 0)]
        assert Wallet.objects.get(book=book).spend_state == "ACTIVE"

    def test_a_hold_that_ends_with_the_cycle_pays_for_it(self, book: Book) -> None:
        held("10", expires_in=11 * 24 * 3600)
        assert START + timedelta(days=31) == FEBRUARY

        factories.advance(book, FEBRUARY)
        factories.body(factories.debit("cust_1", "0.5"))

        assert Settlement.objects.get(book=book).arrears == 0


def test_an_advance_in_one_go_ends_as_one_in_steps() -> None:
    for key, steps in (("cust_1", 1), ("cust_2", 40)):
        book = factories.clocked_customer(key)
        factories.grant(key, "10", "PROMO", expires_at=START + 5 * MINUTE)
        factories.top_up(key, "10")
        held("14", key=key, expires_in=600)
        held("3", key=key, expires_in=1_200)
        for step in range(1, steps + 1):
            to = START + timedelta(minutes=40 * step // steps)
            assert book.test_clock_id is not None
            test_clocks.advance(clock_id=book.test_clock_id, livemode=False, to=to)

    first, second = (
        [(e.event, e.occurred_at) for e in Entry.objects.filter(book__key=key).order_by("sequence")]
        for key in ("cust_1", "cust_2")
    )
    assert first == second
    books = Book.objects.order_by("pk")
    assert [actions.lots(book) for book in books] == [[("PROMO", 0, 0), ("CASH", 10, 0)]] * 2


def test_the_longest_and_the_shortest_time() -> None:
    customer_of_10()

    short = Reservation.objects.get(pk=held("1", expires_in=1))
    long = Reservation.objects.get(pk=held("1", expires_in=engine.MAX_HOLD))

    assert short.expires_at == START + timedelta(seconds=1)
    assert long.expires_at == START + timedelta(days=30)
    assert ledger_books.get_book(livemode=False, key="cust_1").sequence == 3
