"""What operators see of the work in the background: how late each part is, and what waits.

Late is measured from the work itself, so that a worker that lives and does nothing is seen. What
waits for a customer's test clock is not late.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from django.core.cache import cache
from django.db.models import Count, F, Max, Min, Q, Sum
from django_celery_beat.models import PeriodicTask

from aforo.observability.job_health import Job
from aforo.observability.metrics import Figure
from aforo.webhooks.models import OutboxEvent, WebhookEndpoint, WebhookStream
from billing.jobs import workers
from billing.models import Subscription, WorkerHeartbeat
from billing.settlement import waiting_cycles
from billing.subscriptions import states
from ledger.models import Book, Seal
from wallets.models import CreditLot, Reservation, ReservationStatus

# Beat writes when it last sent what at most every three minutes.
BEAT_SILENCE: Final = timedelta(minutes=10)
SETTLEMENT_LATE: Final = timedelta(hours=1)
WEBHOOKS_LATE: Final = timedelta(minutes=15)
# Seals are daily, by the company's calendar.
SEAL_LATE: Final = timedelta(hours=36)
# Liability is a sum over all open lots; it is read again after so many seconds.
_KEPT_SECONDS: Final = 600
_LIABILITY: Final = "aforo.liability"


def look(*, now: datetime) -> tuple[list[Job], list[Figure]]:
    """Return when each job was last seen or since when it is behind, and the figures of now."""
    beat = WorkerHeartbeat.objects.filter(pk=1).first()
    return [*_jobs(beat, now)], [*_figures(beat, now)]


def _jobs(beat: WorkerHeartbeat | None, now: datetime) -> Iterator[Job]:
    sent = PeriodicTask.objects.aggregate(at=Max("last_run_at"))["at"]
    yield _seen("worker", beat.seen_at if beat else None, workers.SILENCE, now)
    yield _seen("sweep", beat.swept_at if beat else None, workers.SWEEP_SILENCE, now)
    yield _seen("beat", sent, BEAT_SILENCE, now)
    over = _due(now).aggregate(at=Min("current_ends_at"))["at"]
    graced = _graced(now).aggregate(at=Min("due_at"))["at"]
    yield _behind("settlement", _oldest(over, graced), SETTLEMENT_LATE, now)
    waiting = OutboxEvent.objects.filter(position=None).aggregate(at=Min("created_at"))["at"]
    unsent = _unsent(now).aggregate(at=Min("due_at"))["at"]
    yield _behind("webhooks", _oldest(waiting, unsent), WEBHOOKS_LATE, now)
    sealed = Seal.objects.filter(livemode=True).aggregate(at=Max("sealed_at"))["at"]
    if sealed is None and not Book.objects.filter(livemode=True, sequence__gt=0).exists():
        yield Job("seal", None, is_late=False)
    else:
        yield _seen("seal", sealed, SEAL_LATE, now)


def _seen(name: str, seen_at: datetime | None, silence: timedelta, now: datetime) -> Job:
    """Return a job that has to be seen again and again."""
    if seen_at is None:
        return Job(name, None, is_late=True)
    return _behind(name, seen_at, silence, now)


def _behind(name: str, since: datetime | None, allowed: timedelta, now: datetime) -> Job:
    """Return a job by the oldest work that waits for it; nothing that waits is age 0."""
    age = timedelta(0) if since is None else max(now - since, timedelta(0))
    return Job(name, age // timedelta(seconds=1), is_late=age > allowed)


def _oldest(*moments: datetime | None) -> datetime | None:
    return min((each for each in moments if each is not None), default=None)


def _graced(now: datetime) -> Any:
    return waiting_cycles.with_due_at().filter(due_at__lte=now, book__test_clock=None)


def _due(now: datetime) -> Any:
    return Subscription.objects.filter(
        status__in=states.RUNNING, current_ends_at__lte=now, customer__book__test_clock=None
    )


def _unsent(now: datetime) -> Any:
    return WebhookStream.objects.filter(
        endpoint__off_at=None, endpoint__deleted_at=None, due_at__lte=now
    )


def _figures(beat: WorkerHeartbeat | None, now: datetime) -> Iterator[Figure]:
    if beat is not None and beat.sweep_milliseconds is not None:
        seconds, left = Decimal(beat.sweep_milliseconds) / 1000, beat.sweep_passed_over
        yield Figure("aforo_sweep_seconds", "How long the last sweep took.", {}, seconds)
        yield Figure("aforo_sweep_passed_over", "What the last sweep could not do.", {}, left)
    cycles = _due(now).count() + _graced(now).count()
    yield Figure("aforo_cycles_due", "Cycles that wait to be settled.", {}, cycles)
    events = OutboxEvent.objects.filter(position=None).count()
    yield Figure("aforo_webhook_events_waiting", "Events that are not queued yet.", {}, events)
    off = WebhookEndpoint.objects.filter(deleted_at=None).exclude(off_at=None).count()
    yield Figure("aforo_webhook_endpoints_off", "Endpoints that nothing is sent to.", {}, off)
    held = Reservation.objects.filter(status=ReservationStatus.HELD).aggregate(
        live=Count("pk", filter=Q(book__livemode=True)),
        sandbox=Count("pk", filter=Q(book__livemode=False)),
    )
    for mode, number in held.items():
        yield Figure("aforo_reservations_held", "Reservations that hold.", {"mode": mode}, number)
    for labels, amount in cache.get_or_set(_LIABILITY, _liability, _KEPT_SECONDS) or ():
        yield Figure("aforo_liability", "What unspent paid credits carry.", labels, amount)


def _liability() -> list[tuple[dict[str, str], Decimal]]:
    """Return the consideration that open lots carry, by mode and currency."""
    found = (
        CreditLot.objects.filter(remaining__gt=0, carrying_remaining__gt=0)
        .values(live=F("book__livemode"), of=F("currency"))
        .annotate(sum=Sum("carrying_remaining"))
    )
    return [
        ({"mode": "live" if row["live"] else "sandbox", "currency": row["of"]}, row["sum"])
        for row in found
    ]
