"""A file of any size is taken in the same memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.utils import timezone

from aforo.devdb import places
from billing.models import UsageEvent
from billing.usage import files
from tests import factories, serving
from tests.benchmarks import harness

pytestmark = [pytest.mark.benchmark, pytest.mark.django_db(transaction=True)]

EVENTS = int(os.environ.get("AFORO_BENCHMARK_EVENTS", round(harness.SECONDS * 20_000)))
LINE = (
    '{{"customerId": "cust_{}", "metricName": "tokens", "quantity": 1.5, "occurredAt": "{}", '
    '"idempotencyKey": "018f-0000-{:012d}", "productType": "API", "metadata": {{"model": "m"}}}}\n'
)


def test_memory_stays_flat(tmp_path: Path) -> None:
    factories.metric()
    for n in range(100):
        factories.customer(f"cust_{n}")
    path, moment = tmp_path / "usage.ndjson", timezone.now().isoformat()
    with path.open("w") as file:
        file.writelines(LINE.format(n % 100, moment, n) for n in range(EVENTS))

    checkpoint = files.checkpoint_path(path, livemode=False)
    started = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "manage.py", "ingest_usage", str(path), "--mode", "sandbox"],
        cwd=places.PROJECT,
        env=os.environ | {"DATABASE_URL": serving.test_database_url()},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        sizes = []
        while process.poll() is None:
            if checkpoint.exists():  # What comes before is starting up.
                sizes.append(harness.memory(process.pid))
            time.sleep(0.1)
        said = process.stdout.read() if process.stdout else ""
    seconds = time.monotonic() - started

    assert said == f"{EVENTS} accepted, 0 duplicates, 0 rejected\n"
    assert UsageEvent.objects.count() == EVENTS
    early, late = max(sizes[: len(sizes) // 3 + 1]), max(sizes)
    harness.LINES.append(
        f"manage.py ingest_usage: {EVENTS:,} events, {EVENTS / seconds:,.0f}/s by one process, "
        f"{late / 1024:.0f} MB at most ({early / 1024:.0f} MB in the first third)"
    )
    assert late - early < 16 * 1024
