"""Unit credits that are still alive pay for usage of their time that comes late."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from billing.finance import verification
from billing.models import CycleBurn, Settlement
from tests import factories
from tests.factories import FEBRUARY, MARCH, START, advance, meter, subscribed
from wallets.models import CreditLot
from wallets.top_ups import sales

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
APRIL = datetime(2026, 4, 1, tzinfo=START.tzinfo)


def totals() -> list[str]:
    return [s.totals["total"] for s in Settlement.objects.order_by("cycle")]


def burns() -> list[tuple[int, Decimal, Decimal]]:
    found = CycleBurn.objects.filter(lot__unit_wallet__isnull=False).order_by("cycle")
    return [(row.cycle, row.quantity, row.late) for row in found]


@pytest.mark.parametrize("mode", ["PREPAID", "HYBRID", "POSTPAID"])
def test_units_that_are_alive_pay_for_late_usage(mode: str) -> None:
    book = subscribed(mode)
    factories.grant_units("cust_1", "10000")
    meter(6_000, START)
    advance(book, FEBRUARY)
    meter(1_000, START + DAY)

    advance(book, MARCH)

    assert totals() == ["0", "0"]
    assert burns() == [(0, 7_000, 1_000)]
    assert CreditLot.objects.get().remaining == 3_000
    meter(500, START + 2 * DAY)
    advance(book, APRIL)
    assert burns() == [(0, 7_500, 1_500)]
    assert verification.verify().ok


@pytest.mark.parametrize("days", [(), (5, 10, 20)])
@pytest.mark.parametrize("mode", ["PREPAID", "HYBRID"])
def test_older_usage_comes_first_however_often_credits_paid_on_the_way(
    mode: str, days: tuple[int, ...]
) -> None:
    """10,000 units, 6,000 used in January. 3,000 late ones leave 1,000 for February's 2,000, of
    which 1,000 x .002 cost 2.00.
    """
    book = subscribed(mode)
    factories.top_up("cust_1", "5")
    factories.grant_units("cust_1", "10000")
    meter(6_000, START)
    advance(book, FEBRUARY + DAY)
    meter(2_000, FEBRUARY)
    for day in days:
        advance(book, FEBRUARY + day * DAY)
    meter(3_000, START + DAY)

    advance(book, MARCH)

    assert totals() == ["0", "2"]
    assert burns() == [(0, 9_000, 3_000), (1, 1_000, 0)]
    assert factories.available(book) == 3
    assert verification.verify().ok


def test_units_of_a_later_time_do_not_pay() -> None:
    book = subscribed()
    advance(book, FEBRUARY + DAY)
    factories.grant_units("cust_1", "10000")
    meter(1_000, START)

    advance(book, MARCH)

    assert totals() == ["0", "2"]
    assert CreditLot.objects.get().remaining == 10_000


def test_bought_units_pay_whenever_they_were_bought_but_not_again_for_what_was_billed() -> None:
    """1,000 of January are billed in time, 2.00. Of units bought later, 500 late ones take 500."""
    book = subscribed()
    meter(1_000, START)
    advance(book, FEBRUARY + DAY)
    sales.top_up(
        livemode=False,
        customer_id="cust_1",
        key="pack",
        amount=Decimal(1),
        currency="USD",
        bonus=sales.Bonus(metric="tokens", quantity=Decimal(10_000)),
    )
    meter(500, START + DAY)

    advance(book, MARCH)

    assert totals() == ["2", "0"]
    assert CreditLot.objects.get(unit_wallet__isnull=False).remaining == 9_500
    assert verification.verify().ok


def test_what_comes_late_may_also_give_units_back_and_take_them_again() -> None:
    """The latest figure of January counts: 5,000, then 3,000, then 4,000; 1,000 more than the 4,500
    that units can pay cost 2.00.
    """
    factories.metric("tokens", aggregation="LATEST")
    book = subscribed()
    factories.grant_units("cust_1", "5500")
    found = []
    meter(5_000, START)
    advance(book, FEBRUARY)
    for number, quantity in enumerate((3_000, 4_000, 6_500), start=1):
        meter(quantity, START + number * DAY)
        advance(book, datetime(2026, 2 + number, 1, tzinfo=START.tzinfo))
        found.append((totals()[-1], CreditLot.objects.get().remaining, burns()[0][1:]))

    assert found == [
        ("0", 2_500, (3_000, -2_000)),
        ("0", 1_500, (4_000, -1_000)),
        ("2", 0, (5_500, 500)),
    ]
    assert verification.verify().ok


def test_a_lot_that_lapses_before_the_next_settlement_pays_for_what_came_before_it_lapsed() -> None:
    """Units to 10 February: 1,000 of January that come on the 5th are free, 500 on the 15th not."""
    book = subscribed()
    factories.grant_units("cust_1", "10000", expires_at=FEBRUARY + 9 * DAY)
    advance(book, FEBRUARY + 4 * DAY)
    meter(1_000, START)
    advance(book, FEBRUARY + 14 * DAY)
    meter(500, START)

    advance(book, MARCH)

    assert totals() == ["0", "1"]
    assert burns() == [(0, 1_000, 1_000)]
    assert verification.verify().ok
