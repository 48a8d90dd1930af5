"""Background work. Tasks contain only ids; each body is a service with a command beside it.

Their names are written out: schedules in databases and messages on their way know them, wherever
this file is.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection
from typing import Any
from uuid import UUID

from celery import shared_task
from django.db import connection
from django.utils import timezone

from aforo import actors
from aforo.celery import JobTask
from aforo.database.after_commit import after_commit
from aforo.webhooks import tasks as webhook_tasks
from billing.campaigns import campaign_runs
from billing.cycle_end import runs
from billing.jobs import due_work, workers
from billing.models import SettlementRun
from billing.simulation import backtest
from wallets.top_ups import refill as wallet_refill

logger = logging.getLogger(__name__)

# How often a server checks whether the workers that it sent a run to are still alive.
LOOK_EVERY_SECONDS = 5


class RunTask(JobTask):
    """A task of a run, in the queue of runs; starting one records that a worker for them is
    alive.
    """

    queue = "runs"

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        """Record that a worker is alive."""
        workers.note_alive(now=timezone.now())


@shared_task(name="billing.tasks.show_life", base=RunTask, expires=60)
def show_life() -> None:
    """Record that a worker for runs is alive, also while there are no runs; sent every minute."""


@shared_task(name="billing.tasks.execute_run", base=RunTask)
def execute_run(run_id: str) -> None:
    """Plan a run and send a task for each of its customers."""
    _fan_out(UUID(run_id))


@shared_task(name="billing.tasks.settle_item", base=RunTask)
def settle_item(item_id: int) -> None:
    """Settle one customer of a run."""
    if runs.settle_item(item_id=item_id, clock=timezone.now):
        # Other customers go first.
        settle_item.delay(item_id)


@shared_task(name="billing.tasks.sweep", expires=60)
def sweep() -> dict[str, object]:
    """Do everything that is due, once; runs are shared among the workers.

    The result lists the customers passed over, as the log does. A message that is not consumed
    before the next one is sent expires.
    """
    swept = due_work.sweep(
        now=timezone.now(),
        clock=timezone.now,
        carry_out=_fan_out,
        deliver=webhook_tasks.deliver.delay,
    )
    return swept.describe()


@shared_task(name="billing.tasks.run_campaign", base=RunTask)
def run_campaign(run_id: str) -> None:
    """Grant to everybody whom a campaign's run has not reached yet."""
    campaign_runs.execute(run_id=UUID(run_id), clock=timezone.now)


@shared_task(name="billing.tasks.execute_backtest", base=RunTask)
def execute_backtest(backtest_id: str) -> None:
    """Execute a backtest."""
    backtest.execute(backtest_id=UUID(backtest_id), clock=timezone.now)


@shared_task(name="billing.tasks.refill_books")
def refill_books(book_ids: list[int]) -> None:
    """Refill the wallets of some customers that are low and have an automatic refill."""
    wallet_refill.refill_if_low(book_ids)


def refill(book_ids: Collection[int]) -> None:
    """Refill low wallets: at once in the sandbox, else in the background.

    The sweep repeats what is lost.
    """
    books = wallet_refill.active_books(among=book_ids)
    if sandbox := [book.pk for book in books if not book.livemode]:
        wallet_refill.refill_if_low(sandbox)
    if live := [book.pk for book in books if book.livemode]:
        _send(refill_books, live)


def enqueue(run_id: UUID, task: Callable[[str], None] = execute_run) -> None:
    """Send a run to a worker once the caller's transaction has committed.

    Where no worker has been alive for 90 seconds, or none can be reached, this process executes it,
    in a thread. The run is committed by then, so whatever fails here, the sweep or the next caller
    resumes it.
    """
    if task is execute_run:
        after_commit(f"handing over the run {run_id}", lambda: _start_run(run_id))
    else:
        after_commit(f"handing over {run_id}", lambda: _send(task, str(run_id)))


def _fan_out(run_id: UUID) -> SettlementRun:
    """Plan a run and send a task for each customer that is not done, without waiting for them."""
    runs.plan(run_id=run_id, clock=timezone.now)
    for item_id in runs.unfinished_items(run_id=run_id):
        settle_item.delay(item_id)
    return runs.finish(run_id=run_id, clock=timezone.now)


def _send(task: Callable[[Any], None], argument: object) -> None:
    """Send a task to the workers, or run it here, in a thread, where there are none."""
    if not _told_workers(task, argument):
        _in_thread(task, argument)


def _start_run(run_id: UUID) -> None:
    if _told_workers(execute_run, str(run_id)):
        _in_thread(_stand_by, run_id)
    else:
        _in_thread(_execute_here, run_id)


def _told_workers(task: Callable[[Any], None], argument: object) -> bool:
    """Send a task if workers are alive; return whether it was sent."""
    if not workers.are_alive(now=timezone.now()):
        return False
    try:
        task.delay(argument)  # type: ignore[attr-defined]
    except Exception:
        # Brokers fail in ways of their own, and none of them may fail what has been committed.
        logger.exception(
            "The broker took no message about %s; this process does the work", argument
        )
        return False
    return True


@actors.acting(actors.job("execute_run"))
def _execute_here(run_id: UUID) -> None:
    runs.execute(run_id=run_id, clock=timezone.now)


def _stand_by(run_id: UUID) -> None:
    """Execute a run as soon as no worker is alive; return when the run has ended."""
    while not runs.is_over(run_id=run_id):
        if not workers.are_alive(now=timezone.now()):
            _execute_here(run_id)
            break
        # The wait is long, and connections are few.
        connection.close()
        time.sleep(LOOK_EVERY_SECONDS)


def _in_thread(work: Callable[[Any], None], argument: object) -> None:
    """Run work in a daemon thread: what it leaves at exit is for the next sweep."""

    def inside() -> None:
        try:
            work(argument)
        except Exception:
            logger.exception("Background work on %s failed", argument)
        finally:
            connection.close()

    threading.Thread(target=inside, name=f"work-{argument}", daemon=True).start()
