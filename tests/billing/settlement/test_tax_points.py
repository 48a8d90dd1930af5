"""Which rate a document's lines take: the one at their own tax point, in every mode."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from aforo.sandbox.services import create_clock
from billing.adjustments import corrections
from billing.adjustments.corrections import Correction
from billing.customers import customers
from billing.finance import verification
from billing.invoicing.tax_rates import create_tax_rate
from billing.lifecycle import subscribing
from billing.models import Invoice, Settlement
from ledger.models import Book
from tests import factories
from tests.factories import FEBRUARY, MARCH, START, advance, meter

pytestmark = pytest.mark.django_db

MODES = ["PREPAID", "HYBRID", "POSTPAID"]
DECEMBER = datetime(2025, 12, 1, tzinfo=START.tzinfo)
MOMENT = timedelta(microseconds=1)
DAY = timedelta(days=1)


def usage(price: str = "1") -> dict[str, Any]:
    return {"code": "calls", "model": "PER_UNIT", "metric": "tokens",
            "terms": {"unit_price": price}}  # fmt: skip


def fee(amount: str, timing: str = "ARREARS") -> dict[str, Any]:
    return {"code": "fee", "model": "FLAT_RATE", "timing": timing, "terms": {"flat_fee": amount}}


def rate(percent: int, valid_from: datetime, **terms: Any) -> None:
    create_tax_rate(
        livemode=False,
        name=f"VAT{percent}",
        country="EE",
        percent=Decimal(percent),
        now=DECEMBER,
        valid_from=valid_from,
        **terms,
    )


def subscribed(mode: str, *charges: dict[str, Any], coupon: str | None = None) -> Book:
    money = "1000" if mode == "PREPAID" else ""
    return factories.subscribed(mode, charges=charges, money=money, coupon=coupon, country="EE")


def taxes(cycle: int, kind: str = "CYCLE") -> list[tuple[str, str, str]]:
    shown: Any = Settlement.objects.get(cycle=cycle, kind=kind).totals["taxes"]
    return [(part["name"], part["net"], part["tax"]) for part in shown]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("begins", [FEBRUARY, FEBRUARY - MOMENT])
def test_a_rate_from_the_end_of_a_cycle_on_does_not_touch_it(mode: str, begins: datetime) -> None:
    """A cycle is half open: a rate that begins at its end is the next one's, one that begins an
    instant before it taxes it whole.
    """
    rate(20, DECEMBER)
    rate(22, begins)
    book = subscribed(mode, usage(), fee("50"))
    meter(100, START)

    advance(book, FEBRUARY)

    assert taxes(0) == [("VAT20", "150", "30") if begins == FEBRUARY else ("VAT22", "150", "33")]
    assert verification.verify().ok


@pytest.mark.parametrize("mode", MODES)
def test_a_fee_in_advance_takes_the_rate_with_which_its_period_begins(mode: str) -> None:
    """The opening of January at 20 %; in one document January's usage at 20 % and February's fee
    at 22 %; February's usage and March's fee at 22 % together.
    """
    rate(20, DECEMBER)
    rate(22, FEBRUARY)
    book = subscribed(mode, usage(), fee("50", "ADVANCE"))
    meter(100, START)

    advance(book, FEBRUARY)
    meter(200, FEBRUARY)
    advance(book, MARCH)

    assert taxes(0, "OPENING") == [("VAT20", "50", "10")]
    assert taxes(0) == [("VAT20", "100", "20"), ("VAT22", "50", "11")]
    assert taxes(1) == [("VAT22", "250", "55")]
    assert verification.verify().ok
    if mode != "PREPAID":
        lines = Invoice.objects.get(settlement__cycle=0, settlement__kind="CYCLE").lines
        assert list(lines.filter(kind="TAX").order_by("position").values_list("amount")) == [
            (20,),
            (11,),
        ]


@pytest.mark.parametrize("mode", MODES)
def test_late_usage_takes_the_rate_of_its_own_cycle(mode: str) -> None:
    """100 of January arrive on 5 February and are billed with February's own 100."""
    rate(20, DECEMBER)
    rate(22, START + 40 * DAY)
    book = subscribed(mode, usage())
    advance(book, FEBRUARY + 4 * DAY)
    meter(100, START + 14 * DAY)
    meter(200, FEBRUARY + DAY)

    advance(book, MARCH)

    assert taxes(0) == []
    assert taxes(1) == [("VAT22", "200", "44"), ("VAT20", "100", "20")]
    assert verification.verify().ok


def test_late_usage_of_two_cycles_has_two_rates() -> None:
    rate(20, DECEMBER)
    rate(22, FEBRUARY)
    rate(24, MARCH)
    book = subscribed("HYBRID", usage())
    advance(book, MARCH)
    meter(100, START)
    meter(200, FEBRUARY)

    advance(book, datetime(2026, 4, 1, tzinfo=START.tzinfo))

    assert taxes(2) == [("VAT20", "100", "20"), ("VAT22", "200", "44")]


def test_a_correction_takes_the_rate_of_the_cycle_it_corrects() -> None:
    rate(20, DECEMBER)
    rate(22, FEBRUARY)
    book = subscribed("HYBRID", usage())
    meter(100, START)
    advance(book, FEBRUARY + DAY)

    corrections.adjust_settlement(
        livemode=False,
        settlement_id=Settlement.objects.get(cycle=0).pk,
        lines=[Correction("Forgotten", Decimal(10))],
        reason="test",
        key="adjust",
        by="ann",
    )

    assert Invoice.objects.get(adjustment__isnull=False).tax == 2


def test_a_start_in_the_past_pays_its_fee_at_the_rate_of_then() -> None:
    rate(20, DECEMBER)
    rate(22, START + DAY)
    factories.offering(charges=[fee("31", "ADVANCE")])
    clock = create_clock(livemode=False, now=START + 10 * DAY)
    customers.create_customer(
        livemode=False, customer_id="cust_1", name="Cust", country="EE", test_clock=clock.pk
    )

    subscribing.subscribe(
        livemode=False, customer_id="cust_1", offering="tokens_monthly", starts_at=START
    )

    assert taxes(0, "OPENING") == [("VAT20", "31", "6.2")]
