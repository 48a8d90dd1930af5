"""Heartbeats of the workers for runs, and of the sweep, written by their tasks."""

from __future__ import annotations

from datetime import datetime, timedelta

from aforo.serving.job_health import Job
from billing.models import WorkerHeartbeat

# A heartbeat is sent every minute, so that a living worker is never silent for so long.
SILENCE = timedelta(seconds=90)
# A sweep of everything that is due may take longer than a minute, but not often.
SWEEP_SILENCE = timedelta(minutes=15)
# The one row is written at most this often.
_EVERY = timedelta(seconds=10)


def note_alive(*, now: datetime) -> None:
    """Record that a worker for runs is alive."""
    WorkerHeartbeat.objects.get_or_create(pk=1, defaults={"seen_at": now})
    WorkerHeartbeat.objects.filter(seen_at__lt=now - _EVERY).update(seen_at=now)


def note_swept(*, now: datetime) -> None:
    """Record that a sweep came to its end."""
    WorkerHeartbeat.objects.update_or_create(
        pk=1, defaults={"swept_at": now}, create_defaults={"seen_at": now, "swept_at": now}
    )


def are_alive(*, now: datetime) -> bool:
    """Return whether any worker for runs was alive in the last 90 seconds."""
    return WorkerHeartbeat.objects.filter(seen_at__gt=now - SILENCE).exists()


def jobs(*, now: datetime) -> list[Job]:
    """Return how long ago a worker was last seen, and when a sweep was last done."""
    beat = WorkerHeartbeat.objects.filter(pk=1).first()
    return [
        _job("worker", None if beat is None else beat.seen_at, SILENCE, now),
        _job("sweep", None if beat is None else beat.swept_at, SWEEP_SILENCE, now),
    ]


def _job(name: str, seen_at: datetime | None, silence: timedelta, now: datetime) -> Job:
    if seen_at is None:
        return Job(name, None, is_late=True)
    age = max(now - seen_at, timedelta(0))
    return Job(name, age // timedelta(seconds=1), is_late=age > silence)
