"""Live months closed by the command: each has what belongs to it, and opened again and closed anew
it is the same, byte by byte (docs/decisions.md#d45).
"""

from __future__ import annotations

import io
from decimal import Decimal

import pytest

from aforo.database.snapshot import snapshot
from billing.finance import closing, reports
from ledger.models import AccountingPeriod, ClosePack
from ledger.periods import periods
from ledger.reports import writing
from tests import factories
from tests.billing.finance.moved_clock import Clock, at
from tests.billing.finance.test_cut_off import check, fee, standing
from wallets.debits import engine

pytestmark = pytest.mark.django_db

D = Decimal


def test_overage_of_debits_is_of_the_month_that_it_was_spent_in(clock: Clock) -> None:
    """A cycle from 15 August to 15 September, 70 beyond the credits on 20 August."""
    clock.sell("HYBRID", "2026-08-15T00:00")
    clock.now = at("2026-08-20T00:00")
    asked = engine.DebitRequest(customer_id="cust_1", key="spent", amount=D(70))
    assert factories.body(engine.execute([asked], livemode=True)[0])["overage"] == "70"

    clock.close("2026-08", "2026-09-05T00:00")

    assert standing("2026-08-31", livemode=True) == {"1200": D(70), "4020": D(70)}
    clock.sweep("2026-09-16T00:00")
    assert standing("2026-09-16", livemode=True) == {"1100": D(70), "4020": D(70)}
    check()


def test_fees_in_arrears_are_earned_by_the_day(clock: Clock) -> None:
    """310 for 15 August to 15 September, 31 days: 17 of them, 170, are August's."""
    clock.sell("POSTPAID", "2026-08-15T00:00", fee("310"))

    clock.close("2026-08", "2026-09-05T00:00")

    assert standing("2026-08-31", livemode=True) == {"1200": D(170), "4030": D(170)}
    clock.sweep("2026-09-16T00:00")
    assert standing("2026-09-16", livemode=True) == {"1100": D(310), "4030": D(310)}
    check()


def test_nothing_of_the_next_periods_fee_stands_on_the_last_day(clock: Clock) -> None:
    """A cycle that renews on 1 August with a fee of 31; 5,000 tokens (10.00) are of July."""
    clock.sell("POSTPAID", "2026-07-01T00:00", fee("31", "ADVANCE"))
    clock.meter(5_000, "2026-07-19T00:00")
    clock.sweep("2026-08-01T00:00")

    clock.close("2026-07", "2026-08-05T00:00")

    july = standing("2026-07-31", livemode=True)
    assert (july["1200"], july["4020"], july["4030"]) == (10, 10, 31)
    assert "2120" not in july
    assert standing("2026-08-01", livemode=True)["2120"] == 31
    check()


def test_a_month_that_is_opened_again_has_the_same_pack_byte_by_byte(clock: Clock) -> None:
    """Closed anew with nothing new, and while it is open, its reports are the frozen ones."""
    clock.sell("HYBRID", "2026-07-02T00:00")
    factories.top_up("cust_1", "100", livemode=True)
    clock.meter(250_000, "2026-07-20T00:00")
    clock.close("2026-07", "2026-08-05T00:00")

    reopen(clock, "2026-08-06T00:00")
    clock.close("2026-07", "2026-08-07T00:00")

    first, second = ClosePack.objects.order_by("number")
    assert contents(first) == contents(second)

    reopen(clock, "2026-08-08T00:00")
    again = made_again(clock)
    assert again == {name: contents(second)[name] for name in again}


def contents(pack: ClosePack) -> dict[str, str]:
    """Return the files of a pack, without the list of who closed it when."""
    return {file.name: file.content for file in pack.files.all() if file.name != "checklist.json"}


def made_again(clock: Clock) -> dict[str, str]:
    scope = reports.scope_of(livemode=True, now=clock.now, period="2026-07")
    found = {}
    for name in closing.PACK:
        written = io.BytesIO()
        with snapshot():
            writing.write_csv(reports.find(name).make(scope), written, run_at=clock.now)
        found[f"{name}.csv"] = written.getvalue().decode()
    return found


def reopen(clock: Clock, moment: str) -> None:
    clock.now = at(moment)
    asked = periods.propose_reopening(
        period=AccountingPeriod.objects.get(starts_on="2026-07-01"), reason="A late bill.",
        by=factories.person("ann"), now=clock.now,
    )  # fmt: skip
    periods.approve_reopening(reopening=asked, by=factories.person("bob"), now=clock.now)
