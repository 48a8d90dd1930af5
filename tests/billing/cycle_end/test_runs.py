"""Runs: customers handed out to workers, claims that outlive nobody, and who takes over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.utils import timezone
from rest_framework.test import APIClient

from billing.cycle_end import cycle_settlement, next_cycle, runs
from billing.jobs import due_work, tasks, workers
from billing.models import (
    RunItemStatus,
    Settlement,
    SettlementRun,
    SettlementRunItem,
    Subscription,
    WorkerHeartbeat,
)
from ledger.models import Book
from tests import factories
from tests.factories import subscribed_since

pytestmark = pytest.mark.django_db

Capture = Callable[..., Any]


def started(now: datetime | None = None) -> SettlementRun:
    return runs.start_run(livemode=False, as_of=None, customer_id=None, now=now or timezone.now())


@pytest.mark.usefixtures("eager_tasks")
def test_a_run_is_a_task_a_customer(monkeypatch: pytest.MonkeyPatch) -> None:
    factories.offering()
    subscribed_since(32, "cust_1", "cust_2", "cust_3")
    sent: list[int] = []
    settle = runs.settle_item

    def counted(*, item_id: int, clock: cycle_settlement.Clock) -> None:
        sent.append(item_id)
        settle(item_id=item_id, clock=clock)

    monkeypatch.setattr(runs, "settle_item", counted)
    run = started()
    tasks.execute_run(str(run.pk))
    tasks.execute_run(str(run.pk))
    for item_id in sorted(sent):
        tasks.settle_item(item_id)

    assert len(set(sent)) == 3
    found = runs.get_run(livemode=False, run_id=run.pk)
    assert (found.status, found.due, found.settled, found.failed) == ("DONE", 3, 3, 0)
    assert Settlement.objects.count() == 3
    assert workers.are_alive(now=timezone.now())


def test_a_claim_holds_for_its_lease_and_no_longer() -> None:
    """A worker died between its claim and the customer: after 90 seconds another one goes on."""
    factories.offering()
    subscribed_since(32, "cust_1", "cust_2")
    run = started()
    now = timezone.now()
    runs.plan(run_id=run.pk, clock=timezone.now)
    first = SettlementRunItem.objects.order_by("pk")[0]
    SettlementRunItem.objects.filter(pk=first.pk).update(
        status=RunItemStatus.CLAIMED, claimed_at=now
    )

    held = runs.execute(run_id=run.pk, clock=lambda: now + runs.LEASE)
    assert (held.status, held.settled) == ("RUNNING", 1)
    after = now + runs.LEASE + timedelta(microseconds=1)
    done = runs.execute(run_id=run.pk, clock=lambda: after)

    assert (done.status, done.settled, done.failed) == ("DONE", 2, 0)
    assert Settlement.objects.count() == 2


def test_what_a_killed_worker_settled_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three cycles are due; the worker dies after the first two have committed."""
    factories.offering(interval="DAY")
    subscribed_since(3, "cust_1")
    run = started()
    settle_cycle, cycles = cycle_settlement.settle_cycle, list[int]()

    def killed(**terms: Any) -> bool:
        if len(cycles) == 2:
            raise KeyboardInterrupt
        cycles.append(terms["subscription"].cycle)
        return settle_cycle(**terms)

    monkeypatch.setattr(cycle_settlement, "settle_cycle", killed)
    with pytest.raises(KeyboardInterrupt):
        runs.execute(run_id=run.pk, clock=timezone.now)
    monkeypatch.setattr(cycle_settlement, "settle_cycle", settle_cycle)
    assert runs.get_run(livemode=False, run_id=run.pk).settled == 2

    after = timezone.now() + 2 * runs.LEASE
    done = runs.execute(run_id=run.pk, clock=lambda: after)

    assert (done.status, done.settled) == ("DONE", 3)
    assert SettlementRunItem.objects.get().settled == 3


def test_a_busy_customer_is_tried_again_after_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    factories.offering()
    subscribed_since(32, "cust_1", "cust_2")
    order: list[int] = []
    settle_book = cycle_settlement.settle_book

    def busy(*, book_id: int, **terms: Any) -> int:
        order.append(book_id)
        if len(order) == 1:
            raise OperationalError("canceling statement due to lock timeout")
        return settle_book(book_id=book_id, **terms)

    monkeypatch.setattr(cycle_settlement, "settle_book", busy)
    run = runs.execute(run_id=started().pk, clock=timezone.now)

    first, second = sorted(set(order))
    assert order == [first, second, first]
    assert (run.settled, run.failed) == (2, 0)


def test_what_stays_busy_or_is_unexpected_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    factories.offering()
    subscribed_since(32, "cust_1", "cust_2", "cust_3")
    settle_book = cycle_settlement.settle_book
    calls: list[str] = []

    def failing(*, book_id: int, **terms: Any) -> int:
        key = Book.objects.get(pk=book_id).key
        calls.append(key)
        if key == "cust_1":
            raise OperationalError("lock timeout")
        if key == "cust_2":
            raise ZeroDivisionError
        return settle_book(book_id=book_id, **terms)

    monkeypatch.setattr(cycle_settlement, "settle_book", failing)
    run = runs.execute(run_id=started().pk, clock=timezone.now)

    assert calls.count("cust_1") == runs.MAX_ATTEMPTS
    assert (run.status, run.due, run.settled, run.failed) == ("DONE", 3, 1, 2)
    assert run.failures == [
        {"customer_id": "cust_1", "step": "settlement", "reason": "busy: lock timeout"},
        {"customer_id": "cust_2", "step": "settlement", "reason": "unexpected: ZeroDivisionError"},
    ]


def test_a_sweep_takes_up_runs_that_were_left_and_leaves_living_ones_alone() -> None:
    factories.offering()
    subscribed_since(32, "cust_1", "cust_2")
    ago = timezone.now() - runs.LEASE - timedelta(seconds=1)
    left = started(now=ago)
    runs.plan(run_id=left.pk, clock=lambda: ago)

    swept = due_work.sweep(now=timezone.now(), clock=timezone.now)

    assert [run.pk for run in swept.runs] == [left.pk]
    assert swept.settled == 2
    subscribed_since(32, "cust_3")
    living = started()
    again = due_work.sweep(now=timezone.now(), clock=timezone.now)
    assert again.runs == ()
    assert not runs.is_over(run_id=living.pk)


def test_nothing_is_settled_before_the_plans_grace_is_over() -> None:
    """The next cycle begins as the first ends, which is settled two days later."""
    factories.offering(spec={"grace_hours": 48})
    subscribed_since(32, "cust_1")
    open_one = Subscription.objects.select_related("version").get()
    ends_at = open_one.current_ends_at
    assert not runs.is_anything_due(livemode=False, as_of=ends_at - timedelta(microseconds=1))
    assert runs.is_anything_due(livemode=False, as_of=ends_at)

    next_cycle.begin(subscription=open_one, now=ends_at)

    before = ends_at + timedelta(hours=47, minutes=59)
    assert not runs.is_anything_due(livemode=False, as_of=before)
    assert runs.is_anything_due(livemode=False, as_of=ends_at + timedelta(hours=48))


def test_a_server_gives_a_run_to_workers_that_live(
    api: APIClient,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Capture,
) -> None:
    factories.offering()
    subscribed_since(32, "cust_1")
    threads: list[Any] = []
    monkeypatch.setattr("threading.Thread.start", lambda thread: threads.append(thread.name))
    sent: list[str] = []
    monkeypatch.setattr(tasks.execute_run, "delay", sent.append)

    with django_capture_on_commit_callbacks(execute=True):
        alone = api.post("/v1/settlements/run", {"customer_id": "cust_1"}).json()["run"]["id"]
    assert (sent, threads) == ([], [f"work-{alone}"])
    runs.execute(run_id=alone, clock=timezone.now)
    workers.note_alive(now=timezone.now())
    with django_capture_on_commit_callbacks(execute=True):
        shared = api.post("/v1/settlements/run", {"customer_id": "cust_1"}).json()["run"]["id"]

    assert sent == [shared]
    # A thread stands by in case the workers die.
    assert threads == [f"work-{alone}", f"work-{shared}"]


def test_a_server_that_stands_by_takes_over_when_the_workers_fall_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    factories.offering()
    subscribed_since(32, "cust_1")
    run = started()
    workers.note_alive(now=timezone.now())
    looks: list[float] = []

    def wait(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            WorkerHeartbeat.objects.update(seen_at=timezone.now() - workers.SILENCE)

    monkeypatch.setattr("time.sleep", wait)
    monkeypatch.setattr("django.db.connection.close", lambda: None)
    tasks._stand_by(run.pk)

    assert len(looks) == 3
    assert runs.get_run(livemode=False, run_id=run.pk).settled == 1


def test_a_heartbeat_is_written_every_ten_seconds_at_most() -> None:
    now = timezone.now()
    assert not workers.are_alive(now=now)

    workers.note_alive(now=now)
    workers.note_alive(now=now + timedelta(seconds=9))
    assert WorkerHeartbeat.objects.get().seen_at == now
    workers.note_alive(now=now + timedelta(seconds=11))

    assert WorkerHeartbeat.objects.get().seen_at == now + timedelta(seconds=11)
    assert not workers.are_alive(now=now + timedelta(seconds=101))


def test_a_command_joins_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    factories.offering()
    subscribed_since(32, "cust_1")
    run = started()

    call_command("settle", "--run", str(run.pk))

    assert capsys.readouterr().out == "sandbox: 1 cycles settled for 1 customers, 0 failed\n"
    with pytest.raises(CommandError, match="There is no run"):
        call_command("settle", "--run", str(uuid4()))
