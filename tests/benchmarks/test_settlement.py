"""Settlement: what a subscription costs, with few and with many of them, and with two workers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import timedelta
from itertools import count
from typing import NamedTuple

import pytest
from django.utils import timezone

from aforo.devdb import places
from billing.cycle_end import runs
from billing.lifecycle import subscribing
from billing.models import SettlementRun
from billing.usage import ingest
from tests import factories, serving
from tests.benchmarks import harness, processor_time

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
        subscribing.subscribe(
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


class Measured(NamedTuple):
    """Subscriptions a second, and the milliseconds of processor time of a worker for one."""

    rate: float
    cost: float


def measure(customers: int, workers: int) -> Measured:
    """Settle so many by so many processes, measured from the first customer that is done."""
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
        started, before = time.monotonic(), [processor_time.seconds(p.pid) for p in processes]
        used = list(before)
        while not runs.is_over(run_id=run.pk):
            used = [
                max(u, processor_time.seconds(p.pid)) for u, p in zip(used, processes, strict=True)
            ]
            time.sleep(0.02)
        seconds = time.monotonic() - started
        assert [process.wait() for process in processes] == [0] * workers
    done = SettlementRun.objects.get(pk=run.pk)
    assert (done.due, done.settled, done.failed) == (customers, customers, 0)
    settled = customers - first
    return Measured(settled / seconds, (sum(used) - sum(before)) * 1_000 / settled)


def test_cost_is_constant_and_workers_share_it() -> None:
    factories.offering()
    # A loaded machine has no second core to give.
    load = os.getloadavg()[0]

    few, many, two = measure(FEW, 1), measure(MANY, 1), measure(MANY, 2)

    harness.LINES += [
        f"Settlement (subscriptions/s and a worker's processor time each; {EVENTS} events each)",
        f"  one worker, {FEW:>5,} subscriptions {few.rate:>8,.1f} {few.cost:>8,.1f} ms",
        f"  one worker, {MANY:>5,} subscriptions {many.rate:>8,.1f} {many.cost:>8,.1f} ms",
        f"  two workers, {MANY:>4,} subscriptions {two.rate:>8,.1f} {two.cost:>8,.1f} ms",
        f"  two workers did {two.rate / many.rate:.2f} x what one did",
        f"  {os.cpu_count()} cores, of which others kept {load:.1f} busy",
    ]
    # A few customers settled on a busy machine say little: small runs find what grows by nature.
    is_full = harness.SECONDS >= harness.FULL
    assert many.cost < (1.5 if is_full else 4) * few.cost
    if is_full and load < 0.5 and (os.cpu_count() or 1) >= 2:
        assert two.rate >= 1.6 * many.rate
