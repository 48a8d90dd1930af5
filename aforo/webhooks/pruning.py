"""Delete what was told long ago: events older than they are kept, with their deliveries."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import transaction

from aforo.webhooks import feed, locks
from aforo.webhooks.models import DeliveryStatus, OutboxEvent, WebhookDelivery, WebhookStream

# What the feed promises, whatever is set.
LEAST: Final = timedelta(days=90)
AT_ONCE: Final = 1_000
# A sweep leaves what is more to the next one.
ROUNDS: Final = 20


def prune(*, now: datetime) -> int:
    """Delete the events that are older than they are kept; return how many there were.

    An event stays while an endpoint waits for it, and so does the last one of the feed, from which
    positions are counted on.
    """
    until = now - max(timedelta(days=settings.EVENTS_KEPT_DAYS), LEAST)
    return sum(takewhile(bool, _rounds(until)))


def _rounds(until: datetime) -> Iterator[int]:
    for _ in range(ROUNDS):
        yield _prune_some(until)


@transaction.atomic
def _prune_some(until: datetime) -> int:
    # Whoever catches an endpoint up writes deliveries of old events, and waits here.
    locks.lock_feed()
    ids = list(_old(until))
    if not ids:
        return 0
    deliveries = WebhookDelivery.objects.filter(event__in=ids)
    streams = list(deliveries.exclude(stream__lane="").values_list("stream", flat=True))
    deliveries.delete()
    OutboxEvent.objects.filter(pk__in=ids).delete()
    # Of replays; that of a customer's events goes on.
    WebhookStream.objects.filter(pk__in=streams, webhookdelivery=None).delete()
    return len(ids)


def _old(until: datetime) -> Iterator[UUID]:
    """Return the ids of some events that may go, found by ids, which begin with their time."""
    waited_for = WebhookDelivery.objects.filter(
        status=DeliveryStatus.PENDING, endpoint__deleted_at=None
    )
    first_kept = UUID(int=int(until.timestamp()) * 1_000 << 80)
    old = OutboxEvent.objects.filter(
        pk__lt=first_kept, created_at__lt=until, position__lt=feed.top()
    )
    found = old.exclude(pk__in=waited_for.values("event")).order_by("pk")
    yield from found.values_list("pk", flat=True)[:AT_ONCE]
