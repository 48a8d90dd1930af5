"""Usage around the end of a cycle: in grace, much or little, rolled over, run up."""

from __future__ import annotations

from datetime import datetime

import pytest
from rest_framework.test import APIClient

from billing.finance import verification
from billing.jobs import due_work
from billing.models import Invoice, Settlement, UsageEvent
from billing.usage import ingest, rollup_upkeep
from tests import factories
from tests.billing.cycle_end.renewals import HOUR, MONTHLY_100, D, ask, ask_for, lots, subscribed
from tests.factories import FEBRUARY, MARCH, START, advance, meter, set_clock
from wallets.models import CreditLot

pytestmark = pytest.mark.django_db


def test_what_is_used_in_grace_is_paid_by_the_lots_that_lived_through_the_cycle(
    api: APIClient,
) -> None:
    """100.00 of January pay its 10.00 of late usage, not the 100.00 of February."""
    book = subscribed("HYBRID", 24)
    set_clock(book, FEBRUARY + HOUR)
    assert ask(api, "debit").status_code == 200
    meter(5_000, START)
    shown = api.get("/v1/wallets/cust_1").json()
    assert (shown["wallets"][0]["available"], shown["wallets"][0]["pending"]) == ("40", "10")

    advance(book, FEBRUARY + 24 * HOUR)

    assert Settlement.objects.get().totals["total"] == "10"
    assert [(name, left) for name, left, *_ in lots(book)] == [("0", 0), ("1", 40)]
    assert UsageEvent.objects.get().counted_at == START
    assert Invoice.objects.get().amount_due == 0
    assert verification.verify().ok


def test_credits_roll_by_what_received_usage_leaves(api: APIClient) -> None:
    """100.00, 20.00 used: 80.00 are left, at most 50.00 roll; 6.00 in grace come out of those."""
    rule = {"mode": "CAPPED", "maximum": "50"}
    book = subscribed("HYBRID", 24, grants=[MONTHLY_100 | {"rollover": rule}])
    meter(10_000, START)
    set_clock(book, FEBRUARY)

    shown = api.get("/v1/wallets/cust_1").json()["wallets"][0]
    assert (shown["available"], shown["pending"]) == ("150", "0")
    meter(3_000, START, "in grace")
    advance(book, FEBRUARY + 24 * HOUR)

    assert [(name, left) for name, left, *_ in lots(book)] == [("0", 44), ("1", 100)]
    assert Settlement.objects.get().totals["total"] == "26"
    assert verification.verify().ok


def test_included_quantity_rolls_before_its_cycle_is_settled(api: APIClient) -> None:
    """100 included, 30 used: 70 roll. 170 in real time cost nothing, one more costs 1.00."""
    quota = {"included_quantity": "100", "unit_price": "1", "rollover": {"mode": "ALL"}}
    charges = [{"code": "calls", "model": "INCLUDED_QUOTA", "metric": "tokens", "terms": quota}]
    book = subscribed("HYBRID", 24, charges=charges)
    meter(30, START)
    set_clock(book, FEBRUARY)

    body = {"customer_id": "cust_1", "metric": "tokens"}
    free = api.post("/v1/usage/debit", body | {"quantity": 170, "idempotency_key": "a"})
    paid = api.post("/v1/usage/debit", body | {"quantity": 1, "idempotency_key": "b"})

    assert (free.json()["amount"], paid.json()["amount"]) == ("0", "1")
    advance(book, MARCH + 24 * HOUR)
    assert [s.totals["total"] for s in Settlement.objects.order_by("cycle")] == ["0", "1"]


def meter_often(times: int) -> None:
    """Send so many events of 10 tokens at the start of the cycle."""
    for first in range(0, times, 1_000):
        events = [
            factories.event("cust_1", 10, f"event {number}", START)
            for number in range(first, min(first + 1_000, times))
        ]
        done = ingest.ingest(livemode=False, events=events, received_at=START)
        assert done.accepted == len(events), done.errors


def test_much_usage_waits_for_the_sweep(api: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """1,001 events are more than a request reads: the next cycle begins, the old one waits."""
    monkeypatch.setattr(rollup_upkeep, "MANY", 5_000)  # No rollup has counted them before.
    book = subscribed("HYBRID")
    meter_often(1_001)
    set_clock(book, FEBRUARY)

    assert ask(api, "debit").json()["balance"]["available"] == "40"
    assert Settlement.objects.get().status == "SEALED"
    meter(10, START, "late")

    done = due_work.settle(livemode=False, as_of=None, customer_id="cust_1", clock=lambda: FEBRUARY)

    assert (done.due, done.settled) == (1, 1)
    # 10,010 x .002, from January's credits; what came after the end is February's to bill.
    assert Settlement.objects.get().totals["total"] == "20.02"
    assert [left for _, left, *_ in lots(book)] == [0, 40]
    assert verification.verify().ok


def test_few_events_are_settled_on_the_spot(api: APIClient) -> None:
    book = subscribed("HYBRID")
    meter_often(1_000)
    set_clock(book, FEBRUARY)

    assert ask(api, "debit").status_code == 200

    assert Settlement.objects.get().totals["total"] == "20"


def test_the_overage_limit_counts_the_open_cycle_alone(api: APIClient) -> None:
    """A limit of 50.00: 45.00 of January wait to be billed, and February may run up 50.00 again."""
    book = subscribed("HYBRID", 24, overage_limit=D(50))
    assert ask_for(api, "145", "cust_1", "january").json()["overage"] == "45"
    set_clock(book, FEBRUARY)

    assert ask_for(api, "149", "cust_1", "february").json()["overage"] == "49"

    refused = ask_for(api, "2", "cust_1", "too much")
    assert (refused.status_code, refused.json()["code"]) == (402, "overage_limit")
    advance(book, MARCH + 24 * HOUR)
    assert [s.totals["total"] for s in Settlement.objects.order_by("cycle")] == ["45", "49"]


def test_several_cycles_that_nobody_settled_are_renewed_in_their_order(api: APIClient) -> None:
    book = subscribed("HYBRID", 24)
    set_clock(book, datetime(2026, 4, 1, 5, tzinfo=START.tzinfo))

    assert ask(api, "debit").json()["balance"]["available"] == "40"

    assert list(Settlement.objects.order_by("cycle").values_list("cycle", "status")) == [
        (0, "SETTLED"), (1, "SETTLED"), (2, "SEALED"),
    ]  # fmt: skip
    assert CreditLot.objects.filter(book=book).count() == 4
