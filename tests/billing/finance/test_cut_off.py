"""Cut-off: each month has what belongs to it, whenever the sweep, the settlement or the close
comes (docs/decisions.md#d45).
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from billing.jobs import due_work
from billing.lifecycle import subscribing
from ledger.reports import trial_balance
from tests import factories
from tests.factories import START, advance

pytestmark = pytest.mark.django_db

D = Decimal
CENT = D("0.01")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def sweep(now: datetime) -> None:
    assert due_work.sweep(now=now, clock=lambda: now).failures == []


def standing(day: str, *, livemode: bool = False) -> dict[str, Decimal]:
    """Return what accounts stand at after a day, credits above zero for liabilities and income."""
    rows = trial_balance(livemode=livemode, as_of=date.fromisoformat(day))
    return {row.account: row.balance.quantize(CENT) for row in rows if row.balance}


def fee(amount: str, timing: str = "ARREARS") -> dict[str, object]:
    terms = {"flat_fee": amount}
    return {"code": "fee", "model": "FLAT_RATE", "terms": terms, "timing": timing}


class TestFeesInAdvance:
    """1,200 for the year 2026, earned by day: 31 of 365 days are 101.92."""

    def sell(self, *, livemode: bool) -> None:
        factories.offering(
            "yearly", interval="YEAR", livemode=livemode, charges=[fee("1200", "ADVANCE")]
        )

    def test_a_worker_that_was_down_over_the_months_end_earns_each_month_its_days(self) -> None:
        self.sell(livemode=True)
        factories.customer(livemode=True)
        subscribing.subscribe(
            livemode=True, customer_id="cust_1", offering="yearly", starts_at=START
        )
        sweep(at("2026-01-31T12:00"))

        sweep(at("2026-02-02T09:00"))

        assert standing("2026-01-31", livemode=True)["4030"] == D("101.92")
        assert standing("2026-02-01", livemode=True)["4030"] == D("105.21")

    def test_a_test_clock_earns_them_as_it_advances(self) -> None:
        self.sell(livemode=False)
        book = factories.clocked_customer()
        factories.subscription("cust_1", "yearly")

        advance(book, at("2026-01-11T06:00"))
        assert standing("2026-01-11")["4030"] == D("32.88")
        advance(book, at("2026-02-02T09:00"))

        assert standing("2026-01-31")["4030"] == D("101.92")
        assert standing("2026-02-28")["4030"] == D("105.21")
