"""Background work. Tasks carry only ids; each body is a service with a command beside it."""

from __future__ import annotations

import threading
from uuid import UUID

from celery import shared_task
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from billing.services import due, runs


@shared_task
def execute_run(run_id: str) -> None:
    """Settle what a run's scope has due."""
    runs.execute(run_id=UUID(run_id), clock=timezone.now)


@shared_task
def sweep() -> None:
    """Do everything that is due, once."""
    due.sweep(now=timezone.now(), clock=timezone.now)


def hand_over(run_id: UUID) -> None:
    """Let a worker execute a run once the caller's transaction has committed.

    With the file-system broker of a single machine the server does it in a thread of its own,
    because no worker need be there.
    """
    if settings.RUNS_IN_PROCESS:
        thread = threading.Thread(target=_in_thread, args=[run_id], name=f"run-{run_id}")
        transaction.on_commit(thread.start)
    else:
        transaction.on_commit(lambda: execute_run.delay(str(run_id)))


def _in_thread(run_id: UUID) -> None:
    try:
        runs.execute(run_id=run_id, clock=timezone.now)
    finally:
        connection.close()
