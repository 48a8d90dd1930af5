"""How far back a subscription may be entered, and that many due cycles keep nobody waiting."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import LazySettings
from django.utils import timezone
from rest_framework.test import APIClient

from billing.cycle_end import cycle_settlement, runs
from billing.finance import verification
from billing.lifecycle import subscribing
from billing.models import RunItemStatus, SettlementRunItem, Subscription
from ledger.models import Book
from tests import factories
from tests.factories import START
from wallets.models import CreditLot

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("interval", "longest"), [("DAY", 2), ("WEEK", 14), ("MONTH", 62), ("YEAR", 732)]
)
def test_a_start_lies_at_most_one_whole_cycle_back(
    api: APIClient, settings: LazySettings, interval: str, longest: int
) -> None:
    settings.BACKDATED_CYCLES = 1
    factories.offering(interval=interval)
    factories.customer()
    body = {"customer_id": "cust_1", "offering": "tokens_monthly"}
    hour = timedelta(hours=1)
    latest = timezone.now() - timedelta(days=longest)
    before = factories.everything()

    for start in (latest - hour, datetime(26, 3, 1, tzinfo=UTC)):
        refused = api.post("/v1/subscriptions", body | {"starts_at": start.isoformat()})
        assert refused.status_code == 422
        assert [error["pointer"] for error in refused.json()["errors"]] == ["/starts_at"]
    assert factories.everything() == before
    assert not Subscription.objects.exists()
    allowed = api.post("/v1/subscriptions", body | {"starts_at": (latest + hour).isoformat()})
    assert allowed.status_code == 201


def entered(key: str, days: int) -> None:
    factories.customer(key)
    subscribing.subscribe(
        livemode=False,
        customer_id=key,
        offering="tokens_monthly",
        starts_at=timezone.now() - timedelta(days=days),
    )


def test_a_customer_with_many_cycles_lets_the_others_have_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two cycles at a time: five of the first customer, one of the second."""
    monkeypatch.setattr(runs, "CYCLES_PER_CLAIM", 2)
    factories.offering(interval="DAY")
    entered("cust_1", 5)
    entered("cust_2", 1)
    order: list[str] = []
    real = cycle_settlement.settle_cycle

    def noted(*, subscription: Subscription, **terms: Any) -> bool:
        order.append(subscription.customer.book.key)
        return real(subscription=subscription, **terms)

    monkeypatch.setattr(cycle_settlement, "settle_cycle", noted)
    run = runs.start_run(livemode=False, as_of=None, customer_id=None, now=timezone.now())
    done = runs.execute(run_id=run.pk, clock=timezone.now)

    assert order == ["cust_1", "cust_1", "cust_2", "cust_1", "cust_1", "cust_1"]
    assert (done.status, done.settled, done.failed) == ("DONE", 6, 0)


def test_a_lease_is_renewed_with_each_cycle_and_who_lost_it_stops() -> None:
    """A minute a cycle, four cycles: nobody may take the customer over meanwhile."""
    factories.offering(interval="DAY")
    entered("cust_1", 4)
    now = timezone.now()
    run = runs.start_run(livemode=False, as_of=None, customer_id=None, now=now)
    runs.plan(run_id=run.pk, clock=lambda: now)
    minutes = iter(range(100))
    seen: list[datetime | None] = []

    def clock() -> datetime:
        seen.append(SettlementRunItem.objects.get().claimed_at)
        return now + timedelta(minutes=next(minutes))

    item = SettlementRunItem.objects.get()
    assert not runs.settle_item(item_id=item.pk, clock=clock)

    assert seen[2:5] == [now + timedelta(minutes=minute) for minute in (1, 2, 3)]
    item.refresh_from_db()
    assert (item.status, item.settled) == (RunItemStatus.DONE, 4)


FEBRUARY, MARCH, APRIL = (datetime(2026, month, 1, tzinfo=UTC) for month in (2, 3, 4))
WELCOME = {"kind": "PROMO", "amount": Decimal(50), "recurrence": "ONCE"}
MONTHLY = {"kind": "PROMO", "amount": Decimal(100), "recurrence": "EVERY_CYCLE"}


def given() -> list[tuple[Decimal, datetime]]:
    """Return what the plan gave, with when, oldest first."""
    lots = CreditLot.objects.filter(source="PLAN").order_by("granted_at", "face")
    return list(lots.values_list("face", "granted_at"))


def enter(subscribed_at: datetime, mode: str = "HYBRID", **terms: Any) -> None:
    """Enter a subscription that began on 1 January."""
    factories.offering(billing_mode=mode, grants=[WELCOME, MONTHLY], **terms)
    factories.clocked_customer(now=subscribed_at)
    subscribing.subscribe(
        livemode=False, customer_id="cust_1", offering="tokens_monthly", starts_at=START
    )


@pytest.mark.parametrize("mode", ["HYBRID", "POSTPAID", "PREPAID"])
@pytest.mark.parametrize("day", [0, 14])
def test_cycles_over_by_then_bring_no_credits(mode: str, day: int) -> None:
    """Subscribed in March from 1 January on: what comes once, March's and April's 100."""
    subscribed_at = MARCH + timedelta(days=day)
    enter(subscribed_at, mode)
    assert given() == [(50, START)]
    book = Book.objects.get(key="cust_1")

    factories.advance(book, MARCH + timedelta(days=20))
    assert given() == [(50, START), (100, MARCH)]
    factories.advance(book, APRIL)

    assert given() == [(50, START), (100, MARCH), (100, APRIL)]
    assert verification.verify().ok


def test_the_cycle_open_by_then_brings_its_credits() -> None:
    """A microsecond before February ends, February's still come."""
    enter(MARCH - timedelta(microseconds=1))
    book = Book.objects.get(key="cust_1")

    factories.advance(book, MARCH)

    assert given() == [(50, START), (100, FEBRUARY), (100, MARCH)]


def test_a_trial_over_by_then_brings_what_comes_once() -> None:
    """The trial of January ends on the 8th, its 100 with it; the cycle from then on is open."""
    enter(START + timedelta(days=10), trial_days=7)
    book = Book.objects.get(key="cust_1")

    factories.advance(book, START + timedelta(days=11))

    assert given() == [(50, START), (100, START + timedelta(days=7))]
