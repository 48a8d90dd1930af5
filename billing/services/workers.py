"""Whether background workers live: each task says so when it is taken up."""

from __future__ import annotations

from datetime import datetime, timedelta

from billing.models import WorkerHeartbeat

# The sweep is a task every minute, so that a living worker is never silent for so long.
SILENCE = timedelta(seconds=90)
# The one row is written so often at most.
_EVERY = timedelta(seconds=10)


def note_alive(*, now: datetime) -> None:
    """Note that a worker lives."""
    WorkerHeartbeat.objects.get_or_create(pk=1, defaults={"seen_at": now})
    WorkerHeartbeat.objects.filter(seen_at__lt=now - _EVERY).update(seen_at=now)


def are_alive(*, now: datetime) -> bool:
    """Tell whether any worker has shown life in the last 90 seconds."""
    return WorkerHeartbeat.objects.filter(seen_at__gt=now - SILENCE).exists()
