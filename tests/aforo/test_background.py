"""The worker and beat beside a server: they work, and they end with it, also when it is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from aforo.devdb import places
from billing.models import Settlement, WorkerHeartbeat
from billing.services import subscriptions
from tests import factories, serving

pytestmark = [
    pytest.mark.faults,
    pytest.mark.django_db(transaction=True),
    pytest.mark.xdist_group("threads"),
]

# A shell lets what it runs in the background ignore Ctrl-C, and children inherit that.
PARENT = """
import signal, time
from aforo import background
signal.signal(signal.SIGINT, signal.default_int_handler)
with background.beside() as pids:
    print(*pids, flush=True)
    time.sleep(300)
"""


@contextmanager
def parent(var: Path) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    environment = os.environ | {
        "DATABASE_URL": serving.test_database_url(),
        "AFORO_VAR": str(var),
    }
    with subprocess.Popen(
        [sys.executable, "-c", PARENT],
        cwd=places.PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        pids = [int(pid) for pid in process.stdout.readline().split()]
        try:
            yield process, pids
        finally:
            process.kill()


def wait_for(condition: Callable[[], bool], seconds: int) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.2)
    return False


def are_gone(pids: list[int]) -> bool:
    """Tell whether no process has one of the ids (a zombie that nobody reaps has ended too)."""
    states = [Path(f"/proc/{pid}/stat") for pid in pids]
    return all(not s.exists() or s.read_text().rpartition(")")[2].split()[0] == "Z" for s in states)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_they_settle_what_is_due_and_end_with_their_parent(tmp_path: Path, how: int) -> None:
    factories.offering()
    factories.customer()
    subscriptions.subscribe(
        livemode=False,
        customer_id="cust_1",
        offering="tokens_monthly",
        starts_at=timezone.now() - timedelta(days=32),
    )
    # Real commits flush what the migration seeded.
    every, _ = IntervalSchedule.objects.get_or_create(every=1, period="seconds")
    PeriodicTask.objects.create(name="Sweep", task="billing.tasks.sweep", interval=every)

    with parent(tmp_path / "var") as (process, pids):
        assert len(pids) == 2
        settled = wait_for(Settlement.objects.filter(status="SETTLED").exists, 90)
        assert settled, "a worker executed what beat sent"
        assert WorkerHeartbeat.objects.exists()
        process.send_signal(how)

        assert wait_for(lambda: are_gone(pids), 40)
