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

import psycopg
import pytest
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from aforo import devdb
from aforo.devdb import places
from aforo.serving import processes
from billing.lifecycle import subscribing
from billing.models import Settlement, WorkerHeartbeat
from tests import factories, serving

pytestmark = [
    pytest.mark.faults,
    pytest.mark.django_db(transaction=True),
    pytest.mark.xdist_group("threads"),
]

# A shell lets what it runs in the background ignore Ctrl-C, and children inherit that.
PARENT = """
import signal, time
from aforo.serving import processes
signal.signal(signal.SIGINT, signal.default_int_handler)
with processes.beside() as pid:
    print(pid, flush=True)
    time.sleep(300)
"""


@contextmanager
def parent(var: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    environment = os.environ | {
        "DATABASE_URL": serving.test_database_url(),
        "AFORO_VAR": str(var),
        "SEALS_DIR": str(var / "seals"),
    }
    with subprocess.Popen(
        [sys.executable, "-c", PARENT],
        cwd=places.PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        supervisor = int(process.stdout.readline())
        try:
            yield process, supervisor
        finally:
            process.kill()


def wait_for(condition: Callable[[], bool], seconds: int) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.2)
    return False


def children(pid: int) -> dict[str, int]:
    """Return the living children of a process, by the name that they were started with."""
    try:
        ids = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        named = {
            Path(f"/proc/{each}/cmdline").read_text().split("\0")[3]: int(each) for each in ids
        }
    except (OSError, IndexError):
        return {}
    return {name: each for name, each in named.items() if not are_gone([each])}


def are_gone(pids: list[int]) -> bool:
    """Return whether no process has one of the ids (a zombie that nobody reaps has ended too)."""
    states = [Path(f"/proc/{pid}/stat") for pid in pids]
    return all(not s.exists() or s.read_text().rpartition(")")[2].split()[0] == "Z" for s in states)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_they_settle_what_is_due_and_end_with_their_parent(tmp_path: Path, how: int) -> None:
    factories.offering()
    factories.customer()
    subscribing.subscribe(
        livemode=False,
        customer_id="cust_1",
        offering="tokens_monthly",
        starts_at=timezone.now() - timedelta(days=32),
    )
    # Real commits flush what the migration seeded.
    every, _ = IntervalSchedule.objects.get_or_create(every=1, period="seconds")
    PeriodicTask.objects.create(name="Sweep", task="billing.tasks.sweep", interval=every)

    with parent(tmp_path / "var") as (process, supervisor):
        assert wait_for(lambda: len(children(supervisor)) == len(processes.COMMANDS), 90)
        pids = [supervisor, *children(supervisor).values()]
        settled = wait_for(Settlement.objects.filter(status="SETTLED").exists, 90)
        assert settled, "a worker executed what beat sent"
        assert WorkerHeartbeat.objects.exists()
        process.send_signal(how)

        assert wait_for(lambda: are_gone(pids), 40)


def test_what_is_killed_is_started_again(tmp_path: Path) -> None:
    every, _ = IntervalSchedule.objects.get_or_create(every=1, period="seconds")
    PeriodicTask.objects.create(name="Sweep", task="billing.tasks.sweep", interval=every)

    with parent(tmp_path / "var") as (_, supervisor):
        assert wait_for(WorkerHeartbeat.objects.exclude(swept_at=None).exists, 120)
        first = children(supervisor)
        assert set(first) == set(processes.COMMANDS)
        # A worker's pool has no processes of its own that could be killed without it.
        assert children(first["runs"]) == children(first["sweep"]) == {}
        for pid in first.values():
            os.kill(pid, signal.SIGKILL)

        assert wait_for(lambda: are_gone(list(first.values())), 60)
        assert wait_for(lambda: set(children(supervisor)) == set(processes.COMMANDS), 120)
        WorkerHeartbeat.objects.all().delete()
        assert wait_for(WorkerHeartbeat.objects.exclude(swept_at=None).exists, 120)
        pids = [supervisor, *children(supervisor).values()]
    assert wait_for(lambda: are_gone(pids), 40)


def test_a_killed_embedded_database_is_started_again(scratch_var: Path) -> None:
    url = devdb.ensure(fast=True)
    found = places.find(scratch_var)
    assert found is not None
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=places.PROJECT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            postmaster = int((found.data / "postmaster.pid").read_text().split()[0])
            os.kill(postmaster, signal.SIGKILL)
            assert wait_for(lambda: are_gone([postmaster]), 60)

            assert wait_for(lambda: answers(url), 120)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def answers(url: str) -> bool:
    try:
        with psycopg.connect(url, connect_timeout=5):
            return True
    except psycopg.OperationalError:
        return False
