"""A rollup and the events since are what all events add up to, whatever comes in which order; and
the book is free while many events are added up.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from aforo.periods import Period
from aforo.sandbox.models import TestClock
from billing.cycle_end import cycle_settlement
from billing.models import MonthEnd, Settlement, Subscription, UsageEvent, UsageRollup
from billing.settlement import usage_burn
from billing.usage import aggregates as usages
from billing.usage import ingest, rollup_upkeep, rollups, running_sums
from ledger.entries import books
from ledger.models import Book
from pricing.metrics import metrics
from tests import factories
from tests.factories import FEBRUARY, START
from wallets.models import CreditLot, Movement

pytestmark = pytest.mark.django_db

MICROSECOND = timedelta(microseconds=1)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
# One metric of each kind, with and without a property.
METRICS: list[dict[str, Any]] = [
    {"aggregation": aggregation, "property": name}
    for aggregation in ("COUNT", "SUM", "MAX", "AVERAGE", "LATEST", "P95", "UNIQUE")
    for name in ("", "size")
    if name or aggregation != "UNIQUE"
]


def subscribed_to_all() -> Subscription:
    charges = []
    for n, metric in enumerate(METRICS):
        metrics.create_metric(livemode=False, code=f"m{n}", name=f"m{n}", **metric)
        charges.append(
            {"code": f"c{n}", "model": "PER_UNIT", "metric": f"m{n}", "terms": {"unit_price": "1"}}
        )
    factories.offering(charges=charges)
    factories.clocked_customer()
    return factories.subscription("cust_1")


def meter_some(dice: random.Random, name: str, now: Any) -> None:
    """Send a few events of every metric, of any moment between the cycle's start and now."""
    events = [
        {
            "customerId": "cust_1",
            "metricName": f"m{n}",
            "quantity": dice.randint(1, 9_999_999) / Decimal(1_000),
            "idempotencyKey": f"{name}-{n}-{at}",
            "occurredAt": (START + (now - START) * dice.randint(0, 100) / 100).isoformat(),
            "metadata": {"size": dice.choice([dice.randint(-50, 50), "2.125", "huge"])},
        }
        for n in range(len(METRICS))
        for at in range(dice.randint(0, 4))
    ]
    taken = ingest.ingest(livemode=False, events=events, received_at=timezone.now())
    assert taken.accepted == len(events)


@pytest.mark.parametrize("seed", range(8))
def test_going_on_from_a_rollup_gives_what_all_events_give(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(seed)
    cycle = subscribed_to_all()
    book_id, now = cycle.customer_id, START
    for step in range(25):
        monkeypatch.setattr(rollup_upkeep, "MANY", dice.choice([0, 3]))
        match dice.randrange(5):
            case 0 | 1:
                meter_some(dice, f"{step}", now)
            case 2:
                now += HOUR * dice.randint(0, 24)
                TestClock.objects.update(now=now)
            case 3:
                rollup_upkeep.keep_up_book(book_id=book_id)
            case 4:
                # Whoever was to count is killed; the next one counts the same set.
                with monkeypatch.context() as killed:
                    killed.setattr(rollup_upkeep, "_count", lambda rollup: None)
                    rollup_upkeep.keep_up_book(book_id=book_id)
        until = now + MICROSECOND
        so_far = rollups.usage_so_far(subscription=cycle, until=until)
        whole = usages.read_part(subscription=cycle, starts_at=START, counted=Period(START, until))
        assert so_far == whole
    assert UsageRollup.objects.filter(events__gt=0).exists()
    assert UsageEvent.objects.exclude(behind=None).exists()


def test_a_real_time_debit_counts_what_a_rollup_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """VOLUME: 1,000 at 0.010, from then on all at 0.005. 900 metered and 50 at once cost 9.50;
    100 more bring all 1,050 to 5.25, so nothing is owed for them.
    """
    monkeypatch.setattr(rollup_upkeep, "MANY", 0)
    terms = {
        "tiers": [{"up_to": "1000", "unit_price": "0.01"}, {"up_to": None, "unit_price": "0.005"}]
    }
    factories.offering(
        billing_mode="PREPAID",
        charges=[{"code": "c", "model": "VOLUME", "metric": "tokens", "terms": terms}],
    )
    book = factories.clocked_customer()
    factories.subscription("cust_1")
    factories.top_up("cust_1", "100")
    factories.meter(900, START, "e1")
    TestClock.objects.update(now=START + HOUR)

    for name, quantity in (("d1", 50), ("d2", 100)):
        factories.use("cust_1", Decimal(quantity), name)

    assert CreditLot.objects.get(book=book).remaining == Decimal("90.5")
    rollup = UsageRollup.objects.get()
    assert (rollup.events, rollup.total) == (1, 900)


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch, book: Book) -> Iterator[list[tuple[int, bool]]]:
    """Record for each sum how many events it read, and whether the book was free meanwhile."""
    seen: list[tuple[int, bool]] = []

    def is_free() -> bool:
        found: list[bool] = []

        def look() -> None:
            with transaction.atomic():
                found.append(bool(books.lock_books(ids=[book.pk], exclusive=True, wait=False)))
            connection.close()

        looking = threading.Thread(target=look)
        looking.start()
        looking.join()
        return found[0]

    whole, since, sums = usages.aggregate, rollups._add_up, running_sums.read

    def watched_whole(**terms: Any) -> Any:
        found = whole(**terms)
        seen.append((found.events, is_free()))
        return found

    def watched_since(subscription: Any, metric: Any, ends_at: Any, kept: Any, **terms: Any) -> Any:
        found = since(subscription, metric, ends_at, kept, **terms)
        seen.append((found[2] - (0 if kept is None else kept.events), is_free()))
        return found

    def watched_sums(wanted: Any) -> Any:
        found, free = sums(wanted), is_free()
        # One whose tail is too long has read one event more than it may.
        most = 2 * rollup_upkeep.MANY + 1
        seen.extend((most if each is None else each.unread, free) for each in found)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(running_sums, "read", watched_sums)
        patch.setattr(usages, "aggregate", watched_whole)
        patch.setattr(rollups, "_add_up", watched_since)
        yield seen


@pytest.mark.django_db(transaction=True)
@pytest.mark.xdist_group("threads")
@pytest.mark.parametrize("mode", ["PREPAID", "HYBRID"])
def test_the_book_is_free_while_many_events_are_added_up(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """40 events are many here. A lot lapses on the 14th; usage in real time goes before it; then
    the cycle is burned through, and settles with usage that came late for it.
    """
    monkeypatch.setattr(rollup_upkeep, "MANY", 10)
    factories.offering(
        billing_mode=mode,
        grants=[{"kind": "PROMO", "metric": "tokens", "quantity": "100",
                 "recurrence": "ONCE", "expires_after_days": 13}],
    )  # fmt: skip
    book = factories.clocked_customer()
    factories.subscription("cust_1")
    factories.top_up("cust_1", "100")
    TestClock.objects.update(now=START + 300 * HOUR)
    meter_hours(0, 40)

    with watched(monkeypatch, book) as seen:
        factories.use("cust_1", Decimal(5), "d1")
        TestClock.objects.update(now=START + 350 * HOUR)
        lapse_at = START + 350 * HOUR
        cycle_settlement.settle_book(book_id=book.pk, until=lapse_at, issued_at=lapse_at)
        assert Movement.objects.filter(kind="EXPIRE").count() == 1
        meter_hours(310, 350)
        factories.use("cust_1", Decimal(5), "d2")
        TestClock.objects.update(now=FEBRUARY)
        assert (
            cycle_settlement.settle_book(book_id=book.pk, until=FEBRUARY, issued_at=FEBRUARY) == 1
        )
        meter_hours(351, 391)
        TestClock.objects.update(now=factories.MARCH)
        until = factories.MARCH
        assert cycle_settlement.settle_book(book_id=book.pk, until=until, issued_at=until) == 1

    assert max(events for events, is_free in seen if is_free) >= 40
    # Usage in real time reads no more than twice as many as make a rollup, then rolls up first.
    assert max(events for events, is_free in seen if not is_free) <= 21
    # 40 + 40 events and 10 of real time, then 40 late ones at 0.002; 45 of units before the lapse.
    totals = [found.totals["total"] for found in Settlement.objects.order_by("cycle")]
    assert totals == ["0.09", "0.08"]
    assert usage_burn.open_cycles(book=book, at=until + HOUR)[0].cycle == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.xdist_group("threads")
def test_the_book_is_free_while_a_month_is_added_up_beside_a_settlement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Tokens are settled on 1 March. Calls, of the 15th to the 15th, are open over it: 30 of
    February, and 40 late ones of the cycle before, at 0.002.
    """
    monkeypatch.setattr(rollup_upkeep, "MANY", 10)
    factories.metric("calls")
    calls = {**factories.TOKENS_AT_2_MILLS[0], "code": "calls", "metric": "calls"}
    factories.offering()
    factories.offering("called", charges=[calls])
    book = factories.clocked_customer()
    factories.subscription("cust_1")
    factories.set_clock(book, START + 14 * DAY)
    beside = factories.subscription("cust_1", "called")
    until = START + 45 * DAY
    factories.set_clock(book, until)
    assert cycle_settlement.settle_book(book_id=book.pk, until=until, issued_at=until) == 2
    factories.set_clock(book, START + 50 * DAY)
    meter_hours(40 * 24, 40 * 24 + 40, "calls")
    meter_hours(46 * 24, 46 * 24 + 30, "calls")
    until = factories.MARCH
    factories.set_clock(book, until)

    with watched(monkeypatch, book) as seen:
        assert cycle_settlement.settle_book(book_id=book.pk, until=until, issued_at=until) == 1

    assert max(events for events, is_free in seen if is_free) >= 40
    assert max((events for events, is_free in seen if not is_free), default=0) <= 21
    accrued = MonthEnd.objects.get(subscription=beside, ends_at=until)
    assert accrued.usage == Decimal("0.14")


def meter_hours(first: int, last: int, metric: str = "tokens") -> None:
    events = [
        factories.event("cust_1", 1, f"h{n}", START + n * HOUR, metric) for n in range(first, last)
    ]
    taken = ingest.ingest(livemode=False, events=events, received_at=timezone.now())
    assert taken.accepted == last - first
