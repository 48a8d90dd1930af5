"""Which queue a task waits in, and that each queue has a worker that takes from no other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from celery import Task
from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import ModelEntry
from kombu import Connection, Producer

from aforo.celery import app
from aforo.serving.processes import COMMANDS
from billing.jobs import tasks


@pytest.fixture
def broker() -> Iterator[Connection]:
    with Connection("memory://") as connection:
        for queue in app.amqp.queues.values():
            queue(connection).declare()
            queue(connection).purge()
        yield connection


def taken(broker: Connection, queue: str) -> list[str]:
    """Receive all that waits in a queue; return the names of the tasks."""
    names = []
    waiting = app.amqp.queues[queue](broker)
    while message := waiting.get(no_ack=True):
        names.append(message.headers["task"])
    return names


def test_a_backlog_of_runs_stands_in_nobodys_way(broker: Connection) -> None:
    """A thousand customers wait to be settled; the sweep is the first of its own queue."""
    sender = Producer(broker)
    for item_id in range(1_000):
        tasks.settle_item.apply_async((item_id,), producer=sender)
    for task in (tasks.execute_run, tasks.run_campaign, tasks.execute_backtest):
        task.apply_async(("",), producer=sender)
    tasks.sweep.apply_async(producer=sender)
    tasks.refill_books.apply_async(([],), producer=sender)

    assert taken(broker, "sweep") == ["billing.tasks.sweep", "billing.tasks.refill_books"]
    assert len(taken(broker, "runs")) == 1_003


@pytest.mark.django_db
def test_what_beat_sends_goes_the_same_way_and_does_not_pile_up(broker: Connection) -> None:
    ways = {}
    for row in PeriodicTask.objects.filter(task__startswith="billing."):
        entry, task = ModelEntry(row, app=app), app.tasks[row.task]
        task.apply_async(entry.args, entry.kwargs, producer=Producer(broker), **entry.options)
        ways[row.task] = [name for name in ("runs", "sweep") if taken(broker, name)]
        assert task.expires == 60

    assert ways == {"billing.tasks.sweep": ["sweep"], "billing.tasks.show_life": ["runs"]}


def test_every_task_of_a_run_shows_life() -> None:
    """Whether runs may be given to workers is decided by those that take them."""
    shown = {
        name: (getattr(task, "queue", None), isinstance(task, tasks.RunTask))
        for name, task in app.tasks.items()
        if name.startswith("billing.") and isinstance(task, Task)
    }

    alone = {"billing.tasks.sweep", "billing.tasks.refill_books"}
    assert {name for name, way in shown.items() if way == ("runs", True)} == set(shown) - alone


def test_quickstart_runs_a_worker_for_each_queue() -> None:
    taken_from = sorted(
        option.partition("=")[2]
        for command in COMMANDS.values()
        for option in command
        if option.startswith("--queues=")
    )

    assert taken_from == sorted(app.amqp.queues) == ["runs", "sweep", "webhooks"]
