"""A backtest of 1,000 customers over three months: its memory is that of one chunk of customers."""

from __future__ import annotations

import time
import tracemalloc
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from billing.jobs import due_work
from billing.lifecycle import subscribing
from billing.simulation import backtest
from billing.usage import ingest
from pricing.plans import plans, version_spec
from tests import factories
from tests.benchmarks import harness

pytestmark = [pytest.mark.benchmark, pytest.mark.django_db]

# 1,000 customers where a round lasts 5 seconds, fewer in small.
CUSTOMERS = round(harness.SECONDS * 200)
FEW = CUSTOMERS // 4
APRIL = datetime(2026, 4, 1, tzinfo=UTC)


def test_memory_does_not_grow_with_the_customers() -> None:
    factories.offering(
        grants=[{"kind": "PROMO", "metric": "tokens", "quantity": "100",
                 "recurrence": "EVERY_CYCLE", "expires_at_cycle_end": True}]
    )  # fmt: skip
    keys = [f"cust_{number:04}" for number in range(CUSTOMERS)]
    for key in keys:
        factories.customer(key)
        subscribing.subscribe(livemode=False, customer_id=key, offering="tokens_monthly",
                                starts_at=factories.START)  # fmt: skip
    for month in range(3):
        at = datetime(2026, 1 + month, 10, tzinfo=UTC)
        events = [
            factories.event(key, 1_000 + number, f"e{month}-{day}", at + timedelta(days=day))
            for number, key in enumerate(keys)
            for day in range(5)
        ]
        for start in range(0, len(events), 1_000):
            ingest.ingest(
                livemode=False, events=events[start : start + 1_000], received_at=timezone.now()
            )
    settled = due_work.settle(livemode=False, as_of=APRIL, customer_id=None, clock=timezone.now)
    assert (settled.settled, settled.failed) == (3 * CUSTOMERS, 0)
    version = plans.create_version(
        livemode=False,
        code="plan_tokens_monthly",
        spec=version_spec.VersionSpec(
            charges=[{**factories.TOKENS_AT_2_MILLS[0], "terms": {"unit_price": "0.003"}}]
        ),
    )

    few, _ = run(version.pk, keys[:FEW])
    many, seconds = run(version.pk, [])

    harness.LINES.append(
        f"backtest: {3 * CUSTOMERS} cycles in {seconds:.1f} s, "
        f"{3 * CUSTOMERS / seconds:.0f} a second; "
        f"peak {few >> 10} KiB for {FEW} customers, {many >> 10} KiB for {CUSTOMERS}"
    )
    assert many < 1.5 * few


def run(version_id: int, customers: list[str]) -> tuple[int, float]:
    """Return the peak of memory in bytes, and the seconds that it takes without measuring it."""
    version = plans.get_version(livemode=False, code="plan_tokens_monthly", number=2)
    assert version.pk == version_id
    seconds = 0.0
    for is_measured in (False, True):
        started = backtest.start(version=version, starts_at=factories.START, ends_at=APRIL,
                                 customers=customers)  # fmt: skip
        if is_measured:
            tracemalloc.start()
        before = time.monotonic()
        done = backtest.execute(backtest_id=started.pk, clock=timezone.now)
        if not is_measured:
            seconds = time.monotonic() - before
        assert done.summary["failed"] == 0
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak, seconds
