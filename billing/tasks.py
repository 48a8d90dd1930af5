"""Background work. Tasks carry only ids; each body is a service with a command beside it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from typing import Any
from uuid import UUID

from celery import shared_task
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from billing.services import backtest, campaign_runs, due, runs
from wallets import services as wallets


@shared_task
def execute_run(run_id: str) -> None:
    """Settle what a run's scope has due."""
    runs.execute(run_id=UUID(run_id), clock=timezone.now)


@shared_task
def sweep() -> None:
    """Do everything that is due, once."""
    due.sweep(now=timezone.now(), clock=timezone.now)


@shared_task
def run_campaign(run_id: str) -> None:
    """Give to everybody whom a campaign's run has not reached yet."""
    campaign_runs.execute(run_id=UUID(run_id), clock=timezone.now)


@shared_task
def execute_backtest(backtest_id: str) -> None:
    """Price what a backtest asks about."""
    backtest.execute(backtest_id=UUID(backtest_id), clock=timezone.now)


@shared_task
def refill_books(book_ids: list[int]) -> None:
    """Fill the wallets of some customers that are low and fill themselves."""
    wallets.refill_if_low(book_ids)


def refill(book_ids: Collection[int]) -> None:
    """Fill what is low: at once where the sandbox's gateway answers, else without a caller waiting.

    Lost on the way, it is done by the sweep.
    """
    books = wallets.active_books(among=book_ids)
    wallets.refill_if_low([book.pk for book in books if not book.livemode])
    live = [book.pk for book in books if book.livemode]
    if live and settings.RUNS_IN_PROCESS:
        threading.Thread(target=_in_thread, args=[refill_books, live], name="refill").start()
    elif live:
        refill_books.delay(live)


def hand_over(run_id: UUID, task: Callable[[str], None] = execute_run) -> None:
    """Let a worker execute a run once the caller's transaction has committed.

    With the file-system broker of a single machine the server does it in a thread of its own,
    because no worker need be there.
    """
    if settings.RUNS_IN_PROCESS:
        name = f"run-{run_id}"
        thread = threading.Thread(target=_in_thread, args=[task, str(run_id)], name=name)
        transaction.on_commit(thread.start)
    else:
        transaction.on_commit(lambda: task.delay(str(run_id)))  # type: ignore[attr-defined]


def _in_thread(task: Callable[[Any], None], argument: object) -> None:
    try:
        task(argument)
    finally:
        connection.close()
