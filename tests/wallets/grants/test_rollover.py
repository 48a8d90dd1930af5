"""Lots at the end of a cycle: what rolls on, for how long, and with what it carries."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction

from billing.finance import verification
from ledger.entries import books
from ledger.models import Book, Entry, LedgerEvent
from tests import factories
from tests.factories import FEBRUARY, MARCH, START
from tests.wallets import actions
from wallets.debits import engine
from wallets.grants import rollover
from wallets.models import CreditLot

pytestmark = pytest.mark.django_db

APRIL, MAY = datetime(2026, 4, 1, tzinfo=START.tzinfo), datetime(2026, 5, 1, tzinfo=START.tzinfo)


def granted(
    rollover: dict[str, Any] | None, recurrence: str = "ONCE", quantity: str = "100"
) -> Book:
    """Subscribe to a plan that gives tokens until the cycle's end, and prices other usage."""
    factories.metric("calls")
    factories.offering(
        charges=[
            {"code": "calls", "description": "Calls", "model": "PER_UNIT", "metric": "calls",
             "terms": {"unit_price": "1"}},
        ],
        grants=[
            {"kind": "PROMO", "metric": "tokens", "quantity": Decimal(quantity),
             "recurrence": recurrence, "expires_at_cycle_end": True, "rollover": rollover},
        ],
    )  # fmt: skip
    book = factories.clocked_customer()
    factories.subscription("cust_1")
    return book


def use(quantity: str) -> None:
    request = engine.DebitRequest(
        customer_id="cust_1", key=actions.fresh("use"), metric="tokens", quantity=Decimal(quantity)
    )
    factories.body(actions.take(request))


def roll(book: Book, at: datetime, until: datetime) -> int:
    with transaction.atomic():
        locked = books.lock_book(book_id=book.pk)
        return rollover.roll_over(book=locked, lots=CreditLot.objects.all(), at=at, until=until)


@pytest.mark.parametrize(
    ("rule", "used", "rolled"),
    [
        (None, "40", "0"),
        ({"mode": "NONE"}, "40", "0"),
        ({"mode": "ALL"}, "40", "60"),
        ({"mode": "PERCENT", "percent": "50"}, "40", "30"),
        ({"mode": "PERCENT", "percent": "12.5"}, "40", "7.5"),
        ({"mode": "CAPPED", "maximum": "50"}, "40", "50"),
        ({"mode": "CAPPED", "maximum": "50"}, "60", "40"),
        ({"mode": "CAPPED", "minimum": "20"}, "81", "0"),
        ({"mode": "CAPPED", "minimum": "20"}, "80", "20"),
        ({"mode": "CAPPED", "minimum": "20", "maximum": "50"}, "10", "50"),
    ],
)
def test_how_much_rolls(rule: dict[str, Any] | None, used: str, rolled: str) -> None:
    book = granted(rule)
    use(used)

    factories.advance(book, FEBRUARY)

    lot = CreditLot.objects.get(book=book)
    assert lot.remaining == Decimal(rolled)
    assert lot.expires_at == (MARCH if rolled != "0" else FEBRUARY)
    lapsed = Entry.objects.filter(book=book, event=LedgerEvent.EXPIRY)
    gone = 100 - Decimal(used) - Decimal(rolled)
    assert [e.occurred_at for e in lapsed] == ([FEBRUARY] if gone > 0 else [])
    factories.advance(book, FEBRUARY + timedelta(days=1))
    assert units_available() == Decimal(rolled)
    assert verification.verify().ok


@pytest.mark.parametrize(("rule", "rolled"), [({"mode": "ALL"}, 100), (None, 0)])
def test_what_times_out_as_the_cycle_ends_goes_the_way_of_its_lot(
    rule: dict[str, Any] | None, rolled: int
) -> None:
    """At one instant holds time out first, then lots roll, then they lapse
    (docs/decisions.md#d42).
    """
    book = granted(rule)
    factories.advance(book, FEBRUARY - timedelta(days=1))
    factories.body(actions.reserve_units("10", expires_in=24 * 60 * 60))

    factories.advance(book, FEBRUARY)

    assert actions.lots(book) == [("PROMO", rolled, 0)]
    lapsed = Entry.objects.filter(book=book, event=LedgerEvent.EXPIRY)
    assert all(entry.occurred_at == FEBRUARY for entry in lapsed)
    assert verification.verify().ok


def units_available() -> Decimal:
    return sum(
        (lot.available for lot in CreditLot.objects.filter(unit_wallet__isnull=False)), Decimal(0)
    )


def test_generations_roll_side_by_side_for_as_many_cycles_as_the_rule_allows() -> None:
    """100 a month, all of it for two further cycles: 100, 200, 300, and never more than 300."""
    book = granted({"mode": "ALL", "cycles": 2}, "EVERY_CYCLE")
    seen = [units_available()]

    for month in (FEBRUARY, MARCH, APRIL, MAY):
        factories.advance(book, month)
        seen.append(units_available())

    assert seen == [100, 200, 300, 300, 300]
    rolled = CreditLot.objects.order_by("granted_at").values_list("rolled", "remaining")
    assert list(rolled) == [(2, 0), (2, 0), (2, 100), (1, 100), (0, 100)]
    assert verification.verify().ok


def test_the_oldest_generation_burns_first_and_what_is_left_of_each_rolls() -> None:
    book = granted({"mode": "PERCENT", "percent": "50"}, "EVERY_CYCLE")
    factories.advance(book, FEBRUARY)
    use("70")  # The 50 of January, and 20 of February.

    factories.advance(book, MARCH)

    lots = CreditLot.objects.order_by("granted_at").values_list("remaining", flat=True)
    assert list(lots) == [0, 40, 100]


def test_what_it_carries_rolls_with_it() -> None:
    """100 + 20 for 100.00; 20 bonus and 40 cash burned; half of the 60 cash rolls with 25.00."""
    book = factories.clocked_customer()
    actions.bundle("100", "20", expires_at=FEBRUARY)
    factories.debit("cust_1", "60")
    CreditLot.objects.filter(kind="CASH").update(rollover={"mode": "PERCENT", "percent": "50"})
    actions.set_clock(FEBRUARY)

    assert roll(book, FEBRUARY, MARCH) == 1

    lot = CreditLot.objects.get(kind="CASH")
    assert (lot.remaining, lot.carrying_remaining) == (30, 25)
    assert actions.accounts()["4200"] == -25
    assert actions.accounts()["2100"] == -25
    entry = Entry.objects.get(book=book, event=LedgerEvent.ROLLOVER)
    assert (entry.occurred_at, entry.postings.count()) == (FEBRUARY, 0)
    before = factories.everything()
    assert roll(book, FEBRUARY, MARCH) == 0
    assert factories.everything() == before
    factories.advance(book, MARCH)
    assert actions.accounts()["4200"] == -50
    assert verification.verify().ok


@pytest.mark.parametrize(
    ("hold", "remaining"), [("30", "50"), ("50", "50"), ("80", "80"), ("100", "100")]
)
def test_what_is_held_never_lapses_with_the_rest(hold: str, remaining: str) -> None:
    """Half may roll: the free part lapses first, and a held part lives on to be captured."""
    book, reserved = held_over_the_end({"mode": "PERCENT", "percent": "50"}, hold)

    assert actions.lots(book) == [("PROMO", Decimal(remaining), Decimal(hold))]
    assert actions.allocations(factories.body(actions.capture(reserved))) == [("PROMO", hold)]
    assert verification.verify().ok


def held_over_the_end(rule: dict[str, Any], *holds: str) -> Any:
    """Reserve parts of 100 tokens over the end of January; return the book and the reservations."""
    book = granted(rule)
    factories.advance(book, START + timedelta(days=10))
    made = [
        factories.body(actions.reserve_units(q, expires_in=engine.MAX_HOLD))["id"] for q in holds
    ]
    factories.advance(book, FEBRUARY)
    return book, *made


def capture_units(reservation: str, quantity: str, **terms: Any) -> dict[str, Any]:
    asked = engine.CaptureRequest(
        reservation=UUID(reservation), key=actions.fresh("c"), quantity=Decimal(quantity), **terms
    )
    return factories.body(actions.take(asked))


AT_MOST_50 = {"mode": "CAPPED", "maximum": "50"}


@pytest.mark.parametrize("how", ["void", "time"])
def test_what_is_held_beyond_the_maximum_lapses_when_it_is_released(how: str) -> None:
    """Of 80 held, 50 rolled: a void leaves 50, and 30 lapse at that moment."""
    book, reserved = held_over_the_end(AT_MOST_50, "80")
    assert actions.lots(book) == [("PROMO", 80, 80)]
    released_at = FEBRUARY + timedelta(days=1)
    if how == "time":
        released_at = START + timedelta(days=10, seconds=engine.MAX_HOLD)
    factories.advance(book, released_at)

    if how == "void":
        factories.body(actions.void(reserved))

    assert actions.lots(book) == [("PROMO", 50, 0)]
    lapsed = Entry.objects.filter(book=book, event=LedgerEvent.EXPIRY).order_by("sequence")
    assert [entry.occurred_at for entry in lapsed] == [FEBRUARY, released_at]
    lot = CreditLot.objects.get(book=book)
    assert (lot.expires_at, lot.lapsing) == (MARCH, 0)
    assert verification.verify().ok


@pytest.mark.parametrize(
    ("captured", "left"), [("10", "50"), ("30", "50"), ("60", "20"), ("80", "0")]
)
def test_what_did_not_roll_is_captured_first(captured: str, left: str) -> None:
    """Of 80 held, 30 kept their expiry: 60 captured are those 30 and 30 of the 50 that rolled."""
    book, reserved = held_over_the_end(AT_MOST_50, "80")

    capture_units(reserved, captured)

    assert actions.lots(book) == [("PROMO", Decimal(left), 0)]
    assert verification.verify().ok


def test_two_holds_beyond_the_maximum_leave_no_more_than_it_whichever_ends_first() -> None:
    """60 and 20 held, 50 rolled: voided one by one 20 lapse, then 10; captured in part, none do."""
    book, big, small = held_over_the_end(AT_MOST_50, "60", "20")

    factories.body(actions.void(small))
    assert actions.lots(book) == [("PROMO", 60, 60)]
    capture_units(big, "5", final=False)
    assert actions.lots(book) == [("PROMO", 55, 55)]
    factories.body(actions.void(big))

    assert actions.lots(book) == [("PROMO", 50, 0)]
    assert verification.verify().ok


def test_what_is_held_takes_the_room_before_what_is_free() -> None:
    """At most 50 over both months: 30 held of January's lot, then 20 of February's 100."""
    book = granted(AT_MOST_50, "EVERY_CYCLE")
    factories.advance(book, START + timedelta(days=20))
    reserved = factories.body(actions.reserve_units("30", expires_in=engine.MAX_HOLD))["id"]
    factories.advance(book, FEBRUARY)
    assert actions.lots(book) == [("PROMO", 50, 30), ("PROMO", 100, 0)]
    use("20")

    factories.advance(book, START + timedelta(days=20, seconds=engine.MAX_HOLD - 1))
    assert actions.lots(book) == [("PROMO", 30, 30), ("PROMO", 100, 0)]
    factories.advance(book, MARCH)

    # The hold timed out before: at most 50 of 30 and 100, the youngest first.
    assert actions.lots(book) == [("PROMO", 0, 0), ("PROMO", 50, 0), ("PROMO", 100, 0)]
    assert factories.refusal(actions.void(reserved)).code == "reservation_expired"
    assert verification.verify().ok


@pytest.mark.parametrize("cycles", [None, 3])
def test_the_maximum_is_of_the_grant_and_not_of_each_months_lot(cycles: int | None) -> None:
    """400 a month and at most 500 of them: 400, then 900 for ever, of which 500 have rolled."""
    rule = {"mode": "CAPPED", "maximum": "500"} | ({"cycles": cycles} if cycles else {})
    book = granted(rule, "EVERY_CYCLE", "400")

    seen = [units_available()]
    for month in range(2, 12):
        factories.advance(book, datetime(2026, month, 1, tzinfo=START.tzinfo))
        seen.append(units_available())

    assert seen == [400, 800, *[900] * 9]
    young = CreditLot.objects.filter(remaining__gt=0).order_by("-granted_at")
    assert [(lot.rolled, lot.remaining) for lot in young] == [(0, 400), (1, 400), (2, 100)]
    assert verification.verify().ok


def test_the_minimum_is_of_the_sum_too() -> None:
    """20 left of January's 30 and 30 of February's are 50, above a minimum of 25: both roll."""
    book = granted({"mode": "CAPPED", "minimum": "25"}, "EVERY_CYCLE", "30")
    factories.advance(book, FEBRUARY)
    use("10")

    factories.advance(book, MARCH)

    assert [remaining for _, remaining, _ in actions.lots(book)] == [20, 30, 30]
    assert verification.verify().ok


def test_half_of_a_sum_is_the_youngest_half() -> None:
    """Of 50 rolled and 100 new, 75 roll: all of them are of the new."""
    book = granted({"mode": "PERCENT", "percent": "50"}, "EVERY_CYCLE")
    factories.advance(book, FEBRUARY)

    factories.advance(book, MARCH)

    assert [remaining for _, remaining, _ in actions.lots(book)] == [0, 75, 100]
    assert verification.verify().ok
