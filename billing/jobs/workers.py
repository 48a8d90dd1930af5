"""Heartbeats of the workers for runs, and of the sweep, written by their tasks."""

from __future__ import annotations

from datetime import datetime, timedelta

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


def note_swept(*, began: datetime, now: datetime, passed_over: int) -> int:
    """Record that a sweep came to its end; return how many milliseconds it took."""
    milliseconds = max(now - began, timedelta(0)) // timedelta(milliseconds=1)
    last = {
        "swept_at": now,
        "sweep_milliseconds": milliseconds,
        "sweep_passed_over": passed_over,
    }
    WorkerHeartbeat.objects.update_or_create(
        pk=1, defaults=last, create_defaults={"seen_at": now, **last}
    )
    return milliseconds


def are_alive(*, now: datetime) -> bool:
    """Return whether any worker for runs was alive in the last 90 seconds."""
    return WorkerHeartbeat.objects.filter(seen_at__gt=now - SILENCE).exists()
