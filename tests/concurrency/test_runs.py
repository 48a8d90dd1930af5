"""Runs and locks with real commits: one run a scope, bounded waits, nothing between two cycles."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from rest_framework.test import APIClient

from billing.cycle_end import runs
from billing.jobs import due_work, tasks, workers
from billing.models import RunStatus, Settlement, SettlementRun, UsageEvent
from billing.usage import ingest
from ledger.entries import books
from ledger.models import Book
from tests import factories
from tests.concurrency.threads import at_once
from tests.factories import subscribed_since
from wallets.models import AutoRefill, Wallet

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("threads")]


@pytest.fixture(autouse=True)
def quiet_end(transactional_db: None) -> Iterator[None]:
    """Wait for the threads that runs were handed to, before the tables are emptied."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join()


def test_a_run_over_the_api_ends_and_the_next_one_finds_nothing(api: APIClient) -> None:
    factories.offering()
    subscribed_since(32, "cust_1")

    answer = api.post("/v1/settlements/run", {})

    assert answer.status_code == 202
    run_id = answer.json()["run"]["id"]
    for _ in range(600):
        found = api.get(f"/v1/settlements/runs/{run_id}").json()
        if found["status"] == "DONE":
            break
        time.sleep(0.1)
    assert (found["due"], found["settled"], found["failed"]) == (1, 1, 0)
    again = due_work.settle(livemode=False, as_of=None, customer_id=None, clock=timezone.now)
    assert (again.due, again.settled) == (0, 0)


def ended(api: APIClient, run_id: str) -> dict[str, Any]:
    for _ in range(600):
        found: dict[str, Any] = api.get(f"/v1/settlements/runs/{run_id}").json()
        if found["status"] == "DONE":
            return found
        time.sleep(0.1)
    raise AssertionError(f"the run {run_id} does not end")


def refuse(*args: Any, **options: Any) -> None:
    raise ConnectionRefusedError("no broker")


def test_with_the_broker_down_a_run_is_accepted_and_carried_out(
    api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers have shown life, so they are told, which fails: this process does the work."""
    factories.offering()
    subscribed_since(32, "cust_1")
    workers.note_alive(now=timezone.now())
    monkeypatch.setattr("celery.app.task.Task.apply_async", refuse)

    answer = api.post("/v1/settlements/run", {}, headers={"Idempotency-Key": "run"})
    repeat = api.post("/v1/settlements/run", {}, headers={"Idempotency-Key": "run"})

    assert (answer.status_code, repeat.status_code) == (202, 202)
    assert repeat.json()["run"]["id"] == answer.json()["run"]["id"]
    found = ended(api, answer.json()["run"]["id"])
    assert (found["due"], found["settled"], found["failed"]) == (1, 1, 0)
    assert api.post("/v1/settlements/run", {}).status_code == 202


def test_a_run_that_nobody_took_up_is_carried_out_by_the_sweep(
    api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even the look for workers fails after the commit: the run stands, and is not forgotten."""
    factories.offering()
    subscribed_since(32, "cust_1")
    monkeypatch.setattr(workers, "are_alive", refuse)

    answer = api.post("/v1/settlements/run", {})
    assert answer.status_code == 202
    later = timezone.now() + runs.LEASE + timedelta(seconds=1)
    swept = due_work.sweep(now=later, clock=timezone.now)

    assert [str(run.pk) for run in swept.runs] == [answer.json()["run"]["id"]]
    assert swept.settled == 1


@pytest.mark.parametrize("livemode", [True, False])
def test_what_follows_a_debit_never_decides_its_answer(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, livemode: bool
) -> None:
    client = request.getfixturevalue("live_api" if livemode else "api")
    factories.customer(livemode=livemode)
    factories.top_up("cust_1", "10", livemode=livemode)
    wallet = Wallet.objects.get()
    terms = {"threshold": 20, "amount": 50, "method": "test_ok"}
    AutoRefill.objects.create(book_id=wallet.book_id, wallet=wallet, **terms)
    asked = list[Any]()

    def broken(*args: Any, **options: Any) -> None:
        asked.append(options)
        refuse()

    monkeypatch.setattr("wallets.top_ups.refill.active_books", broken)
    monkeypatch.setattr(tasks.refill_books, "delay", refuse)
    body = {"customer_id": "cust_1", "amount": 1, "idempotency_key": "k"}

    answer = client.post("/v1/wallets/debit", body)

    assert (answer.status_code, answer.json()["balance"]["available"]) == (200, "9")
    assert asked == [{"among": {wallet.book_id}}]


def test_overlapping_runs_are_refused_until_the_lease_is_over(api: APIClient) -> None:
    factories.customer()
    factories.customer("cust_2")
    now = timezone.now()
    runs.start_run(livemode=False, as_of=None, customer_id="cust_1", now=now)

    same = api.post("/v1/settlements/run", {"customer_id": "cust_1"})
    everybody = api.post("/v1/settlements/run", {})
    runs.start_run(livemode=False, as_of=None, customer_id="cust_2", now=now)
    runs.start_run(livemode=True, as_of=None, customer_id=None, now=now)

    assert (same.status_code, same.json()["code"]) == (409, "run_in_progress")
    assert everybody.status_code == 409
    later = now + runs.LEASE
    taken_over = runs.start_run(livemode=False, as_of=None, customer_id="cust_1", now=later)
    assert SettlementRun.objects.filter(status=RunStatus.DONE).count() == 1
    assert taken_over.status == RunStatus.QUEUED


def test_two_runs_at_once_settle_a_cycle_once() -> None:
    factories.offering()
    for n in range(4):
        subscribed_since(32, f"cust_{n}")

    def settle(_: int) -> int:
        try:
            run = due_work.settle(livemode=False, as_of=None, customer_id=None, clock=timezone.now)
        except runs.AlreadyRunning:
            return 0
        return run.settled

    settled = at_once(4, settle)

    assert sum(settled) == 4
    assert Settlement.objects.count() == 4


def test_every_event_that_commits_while_a_cycle_is_sealed_is_billed_once() -> None:
    """200 events of the ending cycle race with its settlement: what is late adjusts the next one.

    At 0.01 each all of them cost 2.00, however many were late.
    """
    charge = factories.TOKENS_AT_2_MILLS[0] | {"terms": {"unit_price": "0.01"}}
    factories.offering(charges=[charge])
    book = subscribed_since(32, "cust_1")
    at = timezone.now() - timedelta(days=5)
    go = threading.Barrier(3)

    def send(number: int) -> int:
        go.wait()
        accepted = 0
        for n in range(100):
            event = factories.event("cust_1", 1, f"{number}-{n}", at)
            outcome = ingest.ingest(livemode=False, events=[event], received_at=timezone.now())
            accepted += outcome.accepted
        return accepted

    def settle(_: int) -> int:
        go.wait()
        time.sleep(0.15)
        return due_work.settle(
            livemode=False, as_of=None, customer_id=None, clock=timezone.now
        ).settled

    jobs: list[Any] = [send, send, settle]
    results = at_once(3, lambda n: jobs[n](n))

    assert results == [100, 100, 1]
    assert Settlement.objects.filter(book=book).count() == 1
    ahead = timezone.now() + timedelta(days=40)
    due_work.settle(livemode=False, as_of=ahead, customer_id=None, clock=timezone.now)
    quantities = [
        sum(
            event.quantity
            for event in UsageEvent.objects.filter(
                counted_at__gte=s.starts_at, counted_at__lt=s.ends_at
            )
        )
        for s in Settlement.objects.order_by("cycle")
    ]
    assert sum(quantities) == 200
    first, second = Settlement.objects.order_by("cycle")
    assert Decimal(first.totals["total"]) == quantities[0] / 100
    assert Decimal(second.totals["total"]) == quantities[1] / 100


def test_a_book_that_is_locked_for_long_answers_busy_and_others_do_not_wait(
    api: APIClient,
) -> None:
    for key in ("cust_1", "cust_2"):
        factories.customer(key)
        factories.top_up(key, "10")
    locked, done = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                books.lock_book(book_id=Book.objects.get(key="cust_1").pk)
                locked.set()
                done.wait(60)
        finally:
            connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    locked.wait(10)
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '300ms'")
    body = {"customer_id": "cust_1", "amount": 1, "idempotency_key": "k"}

    busy = api.post("/v1/wallets/debit", body)
    other = api.post("/v1/wallets/debit", body | {"customer_id": "cust_2"})

    done.set()
    holder.join()
    assert (busy.status_code, busy.json()["code"]) == (503, "busy")
    assert int(busy["Retry-After"]) >= 1
    assert other.status_code == 200
    assert api.post("/v1/wallets/debit", body).status_code == 200
    with connection.cursor() as cursor:
        cursor.execute("RESET lock_timeout")
