"""Usage that arrives after its cycle was settled: re-rated, or usage of the next
(docs/decisions.md#d35).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing.finance import verification
from billing.models import Invoice, Settlement
from pricing.offerings import coupons
from tests.factories import FEBRUARY, MARCH, START, advance, meter, subscribed

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
APRIL, MAY = (datetime(2026, month, 1, tzinfo=START.tzinfo) for month in (4, 5))
VOLUME: list[dict[str, Any]] = [
    {"code": "calls", "model": "VOLUME", "metric": "tokens",
     "terms": {"tiers": [{"up_to": "1000", "unit_price": "0.010"},
                         {"up_to": None, "unit_price": "0.008"}]}},
]  # fmt: skip


def totals() -> list[str]:
    return [s.totals["total"] for s in Settlement.objects.order_by("cycle")]


def lines(cycle: int) -> list[tuple[str, Decimal]]:
    invoice = Invoice.objects.get(settlement__cycle=cycle)
    return [(line.kind, line.amount) for line in invoice.lines.order_by("position")]


def test_late_usage_is_priced_by_the_terms_of_its_own_cycle() -> None:
    """January: 900 x .010 = 9.00. With 200 late, 1,100 x .008 = 8.80: February takes .20 back. With
    100 more, 1,200 x .008 = 9.60: March bills .80.
    """
    book = subscribed(charges=VOLUME)
    meter(900, START)
    advance(book, FEBRUARY)
    meter(200, START + DAY)
    meter(500, FEBRUARY)
    advance(book, MARCH)
    meter(100, START + 2 * DAY)
    advance(book, APRIL)
    advance(book, MAY)

    assert totals() == ["9", "4.8", "0.8", "0"]
    assert lines(1) == [("USAGE", 5), ("ADJUSTMENT", Decimal("-0.20"))]
    assert lines(2) == [("ADJUSTMENT", Decimal("0.80"))]
    assert Settlement.objects.get(cycle=0).late_adjusted == Decimal("0.60")
    assert verification.verify().ok


def test_by_the_plans_policy_it_is_usage_of_the_next_cycle() -> None:
    book = subscribed(charges=VOLUME, spec={"late_usage": "NEXT_CYCLE"})
    meter(900, START)
    advance(book, FEBRUARY)
    meter(200, START + DAY)
    meter(500, FEBRUARY)

    advance(book, MARCH)

    assert totals() == ["9", "7"]
    assert lines(1) == [("USAGE", 7)]


def test_a_subtotal_never_falls_below_zero_and_the_rest_waits() -> None:
    book = subscribed(charges=VOLUME)
    meter(900, START)
    advance(book, FEBRUARY)
    meter(200, START + DAY)
    advance(book, MARCH)
    meter(500, MARCH)

    advance(book, APRIL)

    assert totals() == ["9", "0", "4.8"]


def test_usage_more_than_60_days_late_is_not_billed() -> None:
    book = subscribed(charges=VOLUME)
    advance(book, FEBRUARY + 60 * DAY)
    meter(100, START)
    advance(book, FEBRUARY + 61 * DAY)
    meter(200, START + DAY)

    advance(book, MAY)

    assert totals() == ["0", "0", "0", "1"]


def test_the_coupon_of_its_own_cycle_counts_and_no_other() -> None:
    """January at half price: 1,000 late tokens are 1.00; February's own 1,000 are 2.00."""
    coupons.create_coupon(
        livemode=False, code="HALF", type="PERCENT", value=Decimal(50), duration="ONCE"
    )
    book = subscribed(coupon="HALF")
    advance(book, FEBRUARY)
    meter(1_000, START)
    meter(1_000, FEBRUARY)

    advance(book, MARCH)

    assert totals() == ["0", "3"]


@pytest.mark.parametrize(("rollover", "late"), [(None, "0"), ({"mode": "ALL"}, "50")])
def test_what_was_included_and_rolled_on_does_not_pay_twice(
    rollover: dict[str, Any] | None, late: str
) -> None:
    """100 included, 30 used in time and 50 late: inside the 100, unless 70 have rolled on."""
    terms: dict[str, Any] = {"included_quantity": "100", "unit_price": "1"}
    if rollover is not None:
        terms["rollover"] = rollover
    charges = [{"code": "calls", "model": "INCLUDED_QUOTA", "metric": "tokens", "terms": terms}]
    book = subscribed(charges=charges)
    meter(30, START)
    advance(book, FEBRUARY)
    meter(50, START + DAY)

    advance(book, MARCH)

    assert totals() == ["0", late]


def test_units_that_lapsed_with_their_cycle_do_not_pay_for_late_usage() -> None:
    """10,000 free tokens: 6,000 used in time are free, 1,000 late ones cost 2.00."""
    grant = {"kind": "PROMO", "metric": "tokens", "quantity": Decimal(10_000),
             "recurrence": "ONCE", "expires_at_cycle_end": True}  # fmt: skip
    book = subscribed(grants=[grant])
    meter(6_000, START)
    advance(book, FEBRUARY)
    meter(1_000, START + DAY)

    advance(book, MARCH)

    assert totals() == ["0", "2"]
