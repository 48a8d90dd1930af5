"""Settlement: what a subscription costs, with few and with many of them, and with two workers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import timedelta
from itertools import count

import pytest
from django.utils import timezone

from aforo.devdb import places
from billing.models import SettlementRun
from billing.services import ingest, runs, subscriptions
from tests import factories, serving
from tests.benchmarks import harness

pytestmark = [pytest.mark.benchmark, pytest.mark.django_db(transaction=True)]

MANY = max(100, round(harness.SECONDS * 400))
FEW = MANY // 10
EVENTS = 50
_numbers = count()


def prepare(customers: int) -> None:
    """Subscribe customers whose cycle is over, with 50 events each and credits for a part."""
    now = timezone.now()
    start = now - timedelta(days=40)
    keys = [f"cust_{next(_numbers)}" for _ in range(customers)]
    for key in keys:
        factories.customer(key)
        subscriptions.subscribe(
            livemode=False, customer_id=key, offering="tokens_monthly", starts_at=start
        )
        factories.top_up(key, "5")
    events = [
        factories.event(key, 100, f"{key}-{n}", start + timedelta(hours=n))
        for key in keys
        for n in range(EVENTS)
    ]
    for at in range(0, len(events), 1_000):
        ingest.ingest(livemode=False, events=events[at : at + 1_000], received_at=now)


def rate(customers: int, workers: int) -> float:
    """Give the subscriptions a second of so many processes, from the first that is settled on."""
    prepare(customers)
    run = runs.start_run(livemode=False, as_of=None, customer_id=None, now=timezone.now())
    command = [sys.executable, "manage.py", "settle", "--run", str(run.pk)]
    environment = os.environ | {"DATABASE_URL": serving.test_database_url()}
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    command, cwd=places.PROJECT, env=environment, stdout=subprocess.DEVNULL
                )
            )
            for _ in range(workers)
        ]
        while (first := runs.count(run.pk)[0]) == 0:
            time.sleep(0.02)
        started = time.monotonic()
        while not runs.is_over(run_id=run.pk):
            time.sleep(0.02)
        seconds = time.monotonic() - started
        assert [process.wait() for process in processes] == [0] * workers
    done = SettlementRun.objects.get(pk=run.pk)
    assert (done.due, done.settled, done.failed) == (customers, customers, 0)
    return (customers - first) / seconds


def test_cost_is_constant_and_workers_share_it() -> None:
    factories.offering()
    # A loaded machine has no second core to give.
    has_two_cores = (os.cpu_count() or 1) >= 2 and os.getloadavg()[0] < 1

    few, many, two = rate(FEW, 1), rate(MANY, 1), rate(MANY, 2)

    harness.LINES += [
        f"Settlement (subscriptions/s, {EVENTS} events each)",
        f"  one worker, {FEW:,} subscriptions   {few:>8,.1f}   {1_000 / few:,.1f} ms each",
        f"  one worker, {MANY:,} subscriptions {many:>8,.1f}   {1_000 / many:,.1f} ms each",
        f"  two workers, {MANY:,} subscriptions {two:>7,.1f}   {two / many:.2f} x one",
        f"  load before: {os.getloadavg()[2]:.1f}, cores: {os.cpu_count()}",
    ]
    assert many > few / 2
    if has_two_cores:
        assert two >= 1.6 * many
