"""What settled cycles would have cost on another version: as settlement bills it, and by hand."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from rest_framework.test import APIClient

from billing.invoicing.tax_rates import create_tax_rate
from billing.jobs import test_clocks
from billing.lifecycle import subscribing
from billing.models import Backtest, BacktestCycle, Customer, Settlement
from billing.simulation import backtest
from billing.simulation.backtest import jobs
from pricing.models import RatePlanVersion
from pricing.offerings import coupons, offerings
from pricing.plans import plans, version_spec
from tests import factories
from tests.billing.simulation.test_preview import CHARGES
from tests.factories import FEBRUARY, MARCH, START

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 6, 1, tzinfo=UTC)
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


def live_through(
    key: str, months: list[int], *, offering: str, country: str = "", cash: str = "", **terms: Any
) -> None:
    """Subscribe on 1 January, use so many tokens on the third of each month, and settle each."""
    book = factories.clocked_customer(key)
    if country:
        Customer.objects.filter(book=book).update(country=country)
    if cash:
        factories.grant_units(key, "200")
        factories.grant(key, "3", "PROMO")
        factories.top_up(key, cash)
    subscribing.subscribe(livemode=False, customer_id=key, offering=offering, **terms)
    assert book.test_clock_id is not None
    for number, tokens in enumerate(months):
        at = datetime(2026, 1 + number, 3, tzinfo=UTC)
        test_clocks.advance(clock_id=book.test_clock_id, livemode=False, to=at)
        if tokens:
            factories.meter(tokens, at, f"{key}-{number}", key=key)
        end = datetime(2026, 2 + number, 1, tzinfo=UTC)
        test_clocks.advance(clock_id=book.test_clock_id, livemode=False, to=end)


def ask(version: RatePlanVersion, **terms: Any) -> Backtest:
    asked = {"starts_at": START, "ends_at": NOW} | terms
    started = backtest.start(version=version, **asked)
    return backtest.execute(backtest_id=started.pk, clock=lambda: NOW)


def draft(**spec: Any) -> RatePlanVersion:
    """Begin a second version of the plan that is sold."""
    return plans.create_version(
        livemode=False, code="plan_tokens_monthly", spec=version_spec.VersionSpec(**spec)
    )


def per_token(price: str) -> list[dict[str, Any]]:
    return [{**factories.TOKENS_AT_2_MILLS[0], "terms": {"unit_price": price}}]


def rows(done: Backtest) -> list[tuple[str, Decimal, Decimal | None]]:
    return [(row.book.key, row.paid, row.priced) for row in backtest.cycles(done)]


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


def two_customers() -> RatePlanVersion:
    """Sell tokens at .002 for two months, and draft .0015 with a minimum of 5.

    big: 20 and 40, on the draft 15 and 30. small: 2 and 2, on the draft 5 and 5.
    """
    factories.offering()
    live_through("big", [10_000, 20_000], offering="tokens_monthly")
    live_through("small", [1_000, 1_000], offering="tokens_monthly")
    return draft(charges=per_token("0.0015"), minimum_spend=Decimal(5))


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


def test_over_the_api(api: APIClient, live_api: APIClient) -> None:
    two_customers()
    body = {"from": "2026-01-01T00:00:00Z", "to": "2026-06-01T00:00:00Z", "version": 2,
            "offering": "tokens_monthly"}  # fmt: skip

    url = "/v1/rate-plans/plan_tokens_monthly/backtest"
    started = api.post(url, body, HTTP_IDEMPOTENCY_KEY="b1")
    again = api.post(url, body, HTTP_IDEMPOTENCY_KEY="b1")
    found = Backtest.objects.get()
    backtest.execute(backtest_id=found.pk, clock=lambda: NOW)

    assert (started.status_code, again.content) == (202, started.content)
    assert started.json()["backtest"]["status"] == "QUEUED"
    shown = api.get(f"/v1/backtests/{found.pk}").json()
    assert (shown["status"], shown["summary"]["delta"], shown["from"]) == (
        "DONE", "-9", "2026-01-01T00:00:00Z",
    )  # fmt: skip
    page = api.get(f"/v1/backtests/{found.pk}/cycles?page_size=3").json()
    rest = api.get(page["next"]).json()
    assert [(r["customer_id"], r["paid"], r["priced"], r["delta"])
            for r in page["data"] + rest["data"]] == [
        ("big", "20", "15", "-5"), ("big", "40", "30", "-10"),
        ("small", "2", "5", "3"), ("small", "2", "5", "3"),
    ]  # fmt: skip
    assert page["data"][0]["figures"]["priced"]["total"] == "15"
    assert rest["next"] is None
    assert [b["id"] for b in api.get("/v1/backtests").json()["data"]] == [str(found.pk)]
    assert live_api.get(f"/v1/backtests/{found.pk}").status_code == 404
    assert live_api.get(f"/v1/backtests/{found.pk}/cycles").status_code == 404
    assert live_api.get("/v1/backtests").json()["data"] == []
    assert api.get(f"/v1/backtests/{uuid4()}").json()["code"] == "unknown_backtest"


@pytest.mark.parametrize(
    ("changes", "status", "pointer"),
    [
        ({"from": None}, 422, "/from"),
        ({"to": "2026-01-01T00:00:00Z"}, 422, "/to"),
        ({"to": "soon"}, 422, "/to"),
        ({"offering": "nothing"}, 422, "/offering"),
        ({"offering": "euros"}, 422, "/offering"),
        ({"customers": ["cust_1", "no\x00body"]}, 422, "/customers/1"),
        ({"customers": ["cust_1", "nobody"]}, 422, "/customers/1"),
        ({"version": 9}, 404, None),
        ({"surprise": 1}, 422, "/surprise"),
    ],
)
def test_a_backtest_that_cannot_be(
    api: APIClient, changes: dict[str, Any], status: int, pointer: str | None
) -> None:
    factories.offering()
    factories.customer()
    plans.create_rate_plan(livemode=False, code="eur", name="eur", currency="EUR",
                             spec=version_spec.VersionSpec(charges=per_token("1")))  # fmt: skip
    plans.publish(livemode=False, code="eur", now=START)
    offerings.create_offering(livemode=False, code="euros", name="euros", rate_plan="eur",
                            billing_mode="HYBRID", interval="MONTH")  # fmt: skip
    body = {"from": "2026-01-01T00:00:00Z", "to": "2026-06-01T00:00:00Z"} | changes

    response = api.post("/v1/rate-plans/plan_tokens_monthly/backtest", body)

    assert response.status_code == status, response.content
    assert [e["pointer"] for e in response.json().get("errors", [])] == (
        [pointer] if pointer else []
    )
    assert (Backtest.objects.count(), BacktestCycle.objects.count()) == (0, 0)


def test_the_command_prints_the_answer_and_writes_every_cycle(tmp_path: Path) -> None:
    two_customers()
    printed, file = io.StringIO(), tmp_path / "cycles.csv"

    call_command(
        "backtest", "plan_tokens_monthly", "--version", "2", "--from", "2026-01-01",
        "--to", "2026-06-01", "--mode", "sandbox", "--out", str(file), stdout=printed,
    )  # fmt: skip

    lines = [" ".join(line.split()) for line in printed.getvalue().splitlines()]
    assert "2026-02 2 42.00 35.00 -7.00 -16.67" in lines
    assert "Total 4 64.00 55.00 -9.00 -14.06" in lines
    assert "2 customers: 1 pay less, 1 pay more, 0 the same; 0 cycles could not be priced." in lines
    written = list(csv.DictReader(file.read_text().splitlines()))
    assert [(row["customer_id"], row["paid"], row["priced"], row["delta"]) for row in written] == [
        ("big", "20", "15", "-5"), ("big", "40", "30", "-10"),
        ("small", "2", "5", "3"), ("small", "2", "5", "3"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing", "--from", "2026-01-01", "--to", "2026-02-01"], "There is no rate plan"),
        (["plan_tokens_monthly", "--from", "2026-01-01"], "Give the plan, --from and --to"),
        (["plan_tokens_monthly", "--from", "2026-02-01", "--to", "2026-01-01"], "later than from"),
        (["--resume", str(uuid4())], "There is no backtest"),
    ],
)
def test_the_command_refuses_in_one_line(arguments: list[str], message: str) -> None:
    factories.offering()

    with pytest.raises(CommandError, match=message):
        call_command("backtest", *arguments, "--mode", "sandbox")
    assert Backtest.objects.count() == 0
