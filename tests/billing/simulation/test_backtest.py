"""What settled cycles would have cost on another version: as settlement bills it, and by hand."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing.invoicing.tax_rates import create_tax_rate
from billing.models import Backtest, Settlement
from billing.simulation import backtest
from billing.simulation.backtest import jobs
from pricing.offerings import coupons
from pricing.plans import plans
from tests import factories
from tests.billing.simulation.backtests import (
    NOW,
    ask,
    draft,
    live_through,
    per_token,
    rows,
    two_customers,
)
from tests.billing.simulation.test_preview import CHARGES
from tests.factories import FEBRUARY, MARCH, START

pytestmark = pytest.mark.django_db
UNITS: dict[str, Any] = {
    "code": "units",
    "kind": "PROMO",
    "metric": "tokens",
    "quantity": "300",
    "recurrence": "EVERY_CYCLE",
    "expires_at_cycle_end": True,
    "rollover": {"mode": "PERCENT", "percent": "50"},
}
MONEY: dict[str, Any] = {
    "code": "money",
    "kind": "BONUS",
    "amount": "7.5",
    "recurrence": "EVERY_CYCLE",
    "expires_after_days": 45,
}


@pytest.mark.parametrize("mode", ["PREPAID", "HYBRID", "POSTPAID"])
@pytest.mark.parametrize("charge", CHARGES, ids=lambda charge: str(charge["model"]))
def test_its_totals_are_what_settlement_bills(charge: dict[str, Any], mode: str) -> None:
    """One customer stays on the old plan, its twin lives on the new one; both have a coupon, tax,
    unit and money credits of their own and of their plan, and three months that differ.
    """
    create_tax_rate(livemode=False, name="VAT", country="ES", percent=Decimal(21), now=START)
    coupons.create_coupon(
        livemode=False, code="TEN", type="PERCENT", value=Decimal(10), duration="FOREVER"
    )
    old = [{**UNITS, "quantity": "100", "rollover": None}]
    factories.offering("old", billing_mode=mode, grants=old)
    factories.offering(
        "new",
        billing_mode=mode,
        charges=[{"code": "c", "metric": "tokens", **charge}],
        grants=[UNITS, MONEY],
        spec={"minimum_spend": Decimal(60), "maximum_spend": Decimal(90)},
    )
    # Prepaid customers are taken to have paid for what they would use: nobody is suspended.
    cash = "600" if mode == "PREPAID" else "40"
    for key, code in (("cust_1", "old"), ("twin", "new")):
        live_through(key, [250, 15_000, 2_000], offering=code, country="ES", cash=cash,
                     coupon="TEN")  # fmt: skip
    version = plans.get_version(livemode=False, code="plan_new", number=1)
    billed = list(Settlement.objects.filter(book__key="twin").order_by("cycle"))

    for with_credits in (False, True):
        done = ask(version, customers=["cust_1"], with_credits=with_credits)
        found = list(backtest.cycles(done))

        assert len(found) == len(billed) == 3
        for row, twin in zip(found, billed, strict=True):
            priced = row.figures["priced"]
            assert priced["subtotal"] == twin.totals["subtotal"]
            assert priced["discount"] == twin.totals["discount"]
            assert priced["tax"] == twin.stages[7]["out"]["tax"]
            assert row.figures["from_units"] == twin.totals["from_units"]
            if with_credits:
                for name in ("from_wallet", "to_invoice", "arrears"):
                    assert priced[name] == twin.totals[name], name


@pytest.mark.parametrize("was_advance", [False, True])
@pytest.mark.parametrize("mode", ["PREPAID", "HYBRID"])
def test_fees_in_advance_and_rolled_quota_are_what_settlement_bills(
    mode: str, *, was_advance: bool
) -> None:
    """The first fees of the new plan are an opening, which the old plan may not have had."""
    coupons.create_coupon(
        livemode=False, code="TEN", type="PERCENT", value=Decimal(10), duration="REPEATING",
        cycles=2,
    )  # fmt: skip
    fee = {"code": "fee", "model": "FLAT_RATE", "timing": "ADVANCE", "terms": {"flat_fee": "31"}}
    quota = {"code": "tokens", "model": "INCLUDED_QUOTA", "metric": "tokens",
             "terms": {"included_quantity": "3100", "unit_price": "0.01",
                       "rollover": {"mode": "PERCENT", "percent": "50"}}}  # fmt: skip
    old_fee = [{**fee, "terms": {"flat_fee": "10"}}] if was_advance else []
    factories.offering("old", billing_mode=mode, charges=[*per_token("0.002"), *old_fee])
    factories.offering("new", billing_mode=mode, charges=[fee, quota], grants=[UNITS])
    for key, code in (("cust_1", "old"), ("twin", "new")):
        live_through(key, [100, 2_000, 15_000], offering=code, cash="600", coupon="TEN",
                     anchor_day=16)  # fmt: skip
    version = plans.get_version(livemode=False, code="plan_new", number=1)

    done = ask(version, customers=["cust_1"], with_credits=True)

    billed: dict[datetime, Decimal] = {}
    for twin in Settlement.objects.filter(book__key="twin"):
        net = Decimal(twin.totals["subtotal"]) - Decimal(twin.totals["discount"])
        billed[twin.ends_at] = billed.get(twin.ends_at, Decimal(0)) + net
    priced: dict[datetime, Decimal] = {}
    for row in backtest.cycles(done):
        assert row.priced is not None, row.error
        priced[row.ends_at] = priced.get(row.ends_at, Decimal(0)) + row.priced
    assert len(billed) == 3
    assert priced == billed


def test_a_version_against_its_own_cycles_changes_nothing() -> None:
    factories.offering(grants=[UNITS, MONEY], spec={"minimum_spend": Decimal(5)})
    live_through("cust_1", [100, 9_000, 0], offering="tokens_monthly")
    version = plans.get_version(livemode=False, code="plan_tokens_monthly", number=1)

    done = ask(version, with_credits=True)

    for row in backtest.cycles(done):
        assert row.figures["paid"] == row.figures["priced"]
    assert (done.summary["cycles"], done.summary["delta"], done.summary["unchanged"]) == (3, "0", 1)


def test_winners_losers_and_months_by_hand() -> None:
    version = two_customers()
    before = factories.everything()

    done = ask(version)

    assert rows(done) == [("big", 20, 15), ("big", 40, 30), ("small", 2, 5), ("small", 2, 5)]
    found = done.summary
    assert {name: found[name] for name in ("customers", "cycles", "paid", "priced", "delta")} == {
        "customers": 2, "cycles": 4, "paid": "64", "priced": "55", "delta": "-9",
    }  # fmt: skip
    assert found["percent"] == "-14.0625"
    assert (found["winners"], found["losers"], found["unchanged"], found["failed"]) == (1, 1, 0, 0)
    assert [(m["month"], m["paid"], m["priced"], m["delta"]) for m in found["months"]] == [
        ("2026-01", "22", "20", "-2"),
        ("2026-02", "42", "35", "-7"),
    ]
    assert found["most_saved"] == [
        {"customer_id": "big", "cycles": 2, "paid": "60", "priced": "45", "delta": "-15"}
    ]
    assert found["most_added"] == [
        {"customer_id": "small", "cycles": 2, "paid": "4", "priced": "10", "delta": "6"}
    ]
    # big pays exactly 25 % less, small 150 % more.
    assert [(g["from"], g["under"], g["customers"], g["delta"]) for g in found["distribution"]
            if g["customers"]] == [(-25, -10, 1, "-15"), (50, None, 1, "6")]  # fmt: skip
    assert (found["deciles"][0], found["deciles"][-1]) == ("-15", "6")
    assert factories.everything() == before


@pytest.mark.parametrize(
    ("terms", "keys"),
    [
        ({}, ["big", "big", "small", "small"]),
        ({"customers": ["small"]}, ["small", "small"]),
        ({"offering": "tokens_monthly", "customers": ["big"]}, ["big", "big"]),
        ({"starts_at": FEBRUARY}, ["big", "small"]),
        ({"ends_at": FEBRUARY}, ["big", "small"]),
        ({"ends_at": FEBRUARY - timedelta(seconds=1)}, []),
        ({"starts_at": MARCH}, []),
        ({"offering": "other"}, []),
    ],
)
def test_who_and_when(terms: dict[str, Any], keys: list[str]) -> None:
    version = two_customers()
    factories.offering("other")

    done = ask(version, **terms)

    assert [key for key, _, _ in rows(done)] == keys
    assert done.summary["cycles"] == len(keys)


def test_a_trial_and_a_shorter_first_cycle_stay_what_they_were() -> None:
    """On trial nothing is owed; from 1 January to the 16th, 15 of 31 days include 15 of 31."""
    charges = [{**per_token("0.002")[0],
                "terms": {"unit_price": "0.002", "included_quantity": "3100"}}]  # fmt: skip
    factories.offering("trial", trial_days=31)
    factories.offering(charges=charges)
    live_through("tried", [5_000, 5_000], offering="trial")
    live_through("short", [5_000], offering="tokens_monthly", anchor_day=16)
    version = plans.get_version(livemode=False, code="plan_tokens_monthly", number=1)

    done = ask(version, customers=["tried", "short"])

    # 5,000 less 1,500 of 3,100 at .002 is 7; after the trial 5,000 less 3,100 at .002 is 3.80.
    assert rows(done) == [
        ("tried", 0, 0),
        ("tried", 10, Decimal("3.8")),
        ("short", 7, 7),
    ]


def test_what_cannot_be_priced_is_named_and_does_not_stop_the_others() -> None:
    factories.offering()
    live_through("huge", [12_345_678_901_234], offering="tokens_monthly")
    live_through("small", [1_000], offering="tokens_monthly")
    # 14 digits and 12 places of tokens, times 28 digits of price, are more than the 50 kept exact;
    # 1,123.456789012 times the price are 1,123,456,789,012,001,123.456789012 and a trace.
    weighted = {"metric": "tokens", "weight": "1.123456789012"}
    charge = {"code": "tokens", "model": "PER_UNIT", "metrics": [weighted],
              "terms": {"unit_price": "1000000000000001.000000000001"}}  # fmt: skip
    version = draft(charges=[charge])

    done = ask(version)

    assert rows(done) == [
        ("huge", Decimal("24691357802.47"), None),
        ("small", 2, Decimal("1123456789012001123.46")),
    ]
    assert (done.summary["failed"], done.summary["cycles"]) == (1, 1)
    (error,) = [row.error for row in backtest.cycles(done) if row.priced is None]
    assert "more digits than can be kept exact" in error


def test_a_killed_one_goes_on_where_it_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    version = two_customers()
    monkeypatch.setattr(jobs, "CHUNK", 1)
    started = backtest.start(version=version, starts_at=START, ends_at=NOW)

    def die(_: Backtest) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backtest.execute(backtest_id=started.pk, clock=lambda: NOW, progress=die)
    first = rows(Backtest.objects.get(pk=started.pk))
    alive = backtest.execute(backtest_id=started.pk, clock=lambda: NOW + timedelta(seconds=5))
    later = NOW + timedelta(minutes=5)
    done = backtest.execute(backtest_id=started.pk, clock=lambda: later)

    assert first == [("big", 20, 15), ("big", 40, 30)]
    assert alive.status == "RUNNING"
    assert (done.status, done.due, done.done) == ("DONE", 2, 2)
    assert rows(done) == rows(ask(version))
    assert backtest.execute(backtest_id=started.pk, clock=lambda: later).finished_at == later
