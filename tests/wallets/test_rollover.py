"""Lots at the end of a cycle: what rolls on, for how long, and with what it carries."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction

from billing.services import proof
from ledger import services as ledger
from ledger.models import Book, Entry, Event
from tests import factories
from tests.factories import FEBRUARY, MARCH, START
from tests.wallets import acts
from wallets import engine
from wallets import services as wallets
from wallets.models import CreditLot

pytestmark = pytest.mark.django_db

APRIL, MAY = datetime(2026, 4, 1, tzinfo=START.tzinfo), datetime(2026, 5, 1, tzinfo=START.tzinfo)


def granted(rollover: dict[str, Any] | None, recurrence: str = "ONCE") -> Book:
    """Subscribe to a plan that gives 100 tokens until the cycle's end, and prices other usage."""
    factories.metric("calls")
    factories.offering(
        charges=[
            {"code": "calls", "description": "Calls", "model": "PER_UNIT", "metric": "calls",
             "terms": {"unit_price": "1"}},
        ],
        grants=[
            {"kind": "PROMO", "metric": "tokens", "quantity": Decimal(100),
             "recurrence": recurrence, "expires_at_cycle_end": True, "rollover": rollover},
        ],
    )  # fmt: skip
    book = factories.clocked_customer()
    factories.subscription("cust_1")
    return book


def use(quantity: str) -> None:
    request = engine.DebitRequest(
        customer_id="cust_1", key=acts.fresh("use"), metric="tokens", quantity=Decimal(quantity)
    )
    factories.body(acts.take(request))


def roll(book: Book, at: datetime, until: datetime) -> int:
    with transaction.atomic():
        locked = ledger.lock_book(book_id=book.pk)
        return wallets.roll_over(book=locked, cause="", at=at, until=until)


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
    lapsed = Entry.objects.filter(book=book, event=Event.EXPIRY)
    gone = 100 - Decimal(used) - Decimal(rolled)
    assert [e.occurred_at for e in lapsed] == ([FEBRUARY] if gone > 0 else [])
    factories.advance(book, FEBRUARY + timedelta(days=1))
    assert units_available() == Decimal(rolled)
    assert proof.verify().ok


@pytest.mark.parametrize(("rule", "rolled"), [({"mode": "ALL"}, 100), (None, 0)])
def test_what_times_out_as_the_cycle_ends_goes_the_way_of_its_lot(
    rule: dict[str, Any] | None, rolled: int
) -> None:
    """At one instant holds time out first, then lots roll, then they lapse (DESIGN 3)."""
    book = granted(rule)
    factories.advance(book, FEBRUARY - timedelta(days=1))
    factories.body(acts.reserve_units("10", expires_in=24 * 60 * 60))

    factories.advance(book, FEBRUARY)

    assert acts.lots(book) == [("PROMO", rolled, 0)]
    lapsed = Entry.objects.filter(book=book, event=Event.EXPIRY)
    assert all(entry.occurred_at == FEBRUARY for entry in lapsed)
    assert proof.verify().ok


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
    assert proof.verify().ok


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
    acts.bundle("100", "20", expires_at=FEBRUARY)
    factories.debit("cust_1", "60")
    CreditLot.objects.filter(kind="CASH").update(rollover={"mode": "PERCENT", "percent": "50"})
    acts.set_clock(FEBRUARY)

    assert roll(book, FEBRUARY, MARCH) == 1

    lot = CreditLot.objects.get(kind="CASH")
    assert (lot.remaining, lot.carrying_remaining) == (30, 25)
    assert acts.accounts()["4200"] == -25
    assert acts.accounts()["2100"] == -25
    entry = Entry.objects.get(book=book, event=Event.ROLLOVER)
    assert (entry.occurred_at, entry.postings.count()) == (FEBRUARY, 0)
    before = factories.everything()
    assert roll(book, FEBRUARY, MARCH) == 0
    assert factories.everything() == before
    factories.advance(book, MARCH)
    assert acts.accounts()["4200"] == -50
    assert proof.verify().ok


@pytest.mark.parametrize(
    ("hold", "remaining"), [("30", "50"), ("50", "50"), ("80", "80"), ("100", "100")]
)
def test_what_is_held_never_lapses_with_the_rest(hold: str, remaining: str) -> None:
    """Half may roll: the free part lapses first, and a held part lives on to be captured."""
    book = granted({"mode": "PERCENT", "percent": "50"})
    factories.advance(book, START + timedelta(days=10))
    reserved = factories.body(acts.reserve_units(hold, expires_in=engine.MAX_HOLD))["id"]

    with transaction.atomic():
        acts.set_clock(FEBRUARY)
        roll(book, FEBRUARY, MARCH)

    assert acts.lots(book) == [("PROMO", Decimal(remaining), Decimal(hold))]
    assert acts.allocations(factories.body(acts.capture(reserved))) == [("PROMO", hold)]
    assert proof.verify().ok
