"""A customer with a million events: its debits while it settles, lapses and is burned through."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from aforo.protocol.idempotency import Answer
from billing.jobs import due_work
from billing.lifecycle import subscribing
from billing.models import Settlement
from ledger.models import Book
from pricing.models import Metric
from tests import factories
from tests.benchmarks import harness
from wallets.models import CreditLot, Movement

pytestmark = [pytest.mark.benchmark, pytest.mark.django_db(transaction=True)]

EVENTS = round(harness.SECONDS * 200_000)
# What a program that meters would have sent, evenly over a span of time.
METERED = """
    INSERT INTO billing_usageevent (id, book_id, metric_id, key, quantity,
        occurred_at, counted_at, received_at, properties)
    SELECT gen_random_uuid(), %(book)s, %(metric)s, %(name)s || n, 1.5, moment, moment, moment,
        '{"productType": "API", "metadata": {"model": "m-1", "region": "eu-west-1"}}'
    FROM generate_series(0, %(events)s - 1) AS n,
        LATERAL (SELECT %(starts_at)s::timestamptz + n * (%(length)s::interval / %(events)s))
            AS placed (moment)
"""


def meter(book: Book, name: str, starts_at: datetime, ends_at: datetime) -> None:
    """Insert the million by SQL, and let the planner know of it."""
    terms: dict[str, Any] = {
        "book": book.pk,
        "metric": Metric.objects.get().pk,
        "name": name,
        "events": EVENTS,
        "starts_at": starts_at,
        "length": ends_at - starts_at,
    }
    with connection.cursor() as cursor:
        cursor.execute(METERED, terms)
        cursor.execute("VACUUM ANALYZE billing_usageevent")


class Debits:
    """One caller after another debits a customer, and notes how long each waited."""

    def __init__(self, name: str, make: Callable[[str], None]) -> None:
        self.name, self.make = name, make
        self.taken: list[float] = []
        self.failed: BaseException | None = None

    def run(self, done: threading.Event) -> None:
        """Debit until it is over, and once at least."""
        try:
            while not (self.taken and done.is_set()):
                begun = time.monotonic()
                self.make(f"{self.name} {len(self.taken)}")
                self.taken.append(time.monotonic() - begun)
        except BaseException as error:
            self.failed = error
        finally:
            connection.close()


def debit_money(name: str) -> None:
    """Debit a cent."""
    assert isinstance(factories.debit("cust_1", "0.01", name), Answer)


def debit_tokens(name: str) -> None:
    """Debit a token in real time."""
    assert isinstance(factories.use("cust_1", Decimal(1), name), Answer)


def beside(title: str, work: Callable[[], object], *debits: Debits) -> None:
    """Run work while others debit; report how long it took, and the longest debit."""
    done = threading.Event()
    threads = [threading.Thread(target=each.run, args=[done]) for each in debits]
    for thread in threads:
        thread.start()
    begun = time.monotonic()
    work()
    seconds = time.monotonic() - begun
    done.set()
    for thread in threads:
        thread.join()
    for each in debits:
        if each.failed is not None:
            raise each.failed
        harness.LINES.append(
            f"  {title:<44} {seconds:>6.2f} s, {len(each.taken):>5,} {each.name} beside it, "
            f"the longest {max(each.taken) * 1_000:,.0f} ms"
        )


def test_a_million_events_hold_up_no_debit() -> None:
    """What it shows beyond the figures, that the lock is free meanwhile, is in test_rollups."""
    now = timezone.now()
    start = now - timedelta(days=40)
    factories.offering(
        billing_mode="PREPAID",
        grants=[{"kind": "PROMO", "metric": "tokens", "quantity": "5000",
                 "recurrence": "EVERY_CYCLE", "expires_after_days": 3}],
    )  # fmt: skip
    book = factories.customer("cust_1")
    cycle = subscribing.subscribe(
        livemode=False, customer_id="cust_1", offering="tokens_monthly", starts_at=start
    )
    factories.top_up("cust_1", "100000")
    meter(book, "first ", start, cycle.current_ends_at)
    harness.LINES.append(f"One customer with {EVENTS:,} events")

    beside(
        "Settle the cycle that is over",
        lambda: due_work.settle(livemode=False, as_of=None, customer_id=None, clock=timezone.now),
        Debits("debits of money", debit_money),
    )
    (settled,) = Settlement.objects.all()
    # That cycle was over when the customer subscribed, so it brought no tokens.
    assert Decimal(settled.totals["total"]) == EVENTS * Decimal("1.5") * Decimal("0.002")

    cycle.refresh_from_db()
    meter(book, "second ", cycle.current_starts_at, now)
    beside(
        "The first debit in real time",
        lambda: debit_tokens("first"),
        Debits("debits of money", debit_money),
    )
    lapses_at = timezone.now() + timedelta(seconds=1)
    factories.grant_units("cust_1", "9000000", expires_at=lapses_at)
    time.sleep(1)
    beside(
        "Sweep: lapse a lot and burn through",
        lambda: due_work.sweep(now=timezone.now(), clock=timezone.now),
        Debits("debits of money", debit_money),
        Debits("debits of usage", debit_tokens),
    )
    lapsed = CreditLot.objects.get(expires_at=lapses_at)
    assert (lapsed.remaining, Movement.objects.filter(lot=lapsed, kind="EXPIRE").count()) == (0, 1)
