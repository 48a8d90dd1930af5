"""Deliveries: claimed by stream, sent one after the other, repeated for days, and replayed.

A stream is claimed until a time, and its message is sent outside of any transaction. Whoever dies
meanwhile has lost nothing: the stream is due again then, and the message is sent again, under the
same id (docs/decisions.md#d352).
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F, QuerySet

from aforo.errors import Conflict, NotFound
from aforo.ids import new_id
from aforo.protocol.exact_json import to_json
from aforo.webhooks import endpoints, feed, locks, sending, signing
from aforo.webhooks.models import (
    DeliveryStatus,
    OutboxEvent,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookStream,
)

logger = logging.getLogger(__name__)

# How long after each failed attempt the next one comes, and up to a tenth longer; after the last
# one the event has failed, some three days after the first.
RETRIES: Final = (
    timedelta(seconds=5), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2),
    timedelta(hours=5), timedelta(hours=10), timedelta(hours=14), timedelta(hours=20),
    timedelta(hours=24),
)  # fmt: skip
# An endpoint that has answered nothing well for so long is switched off.
SWITCH_OFF_AFTER: Final = timedelta(days=5)
# Longer than looking up a name and sending may take.
LEASE: Final = timedelta(minutes=2)
# One endpoint is served so long before it has to queue again.
TURN_SECONDS: Final = 20
ENDPOINTS_AT_ONCE: Final = 8

Clock = Callable[[], datetime]


class UnknownDelivery(NotFound):
    """There is no such delivery to this endpoint.

    Take an id of the endpoint's deliveries.
    """

    default_code = "unknown_delivery"


class StillPending(Conflict):
    """The delivery is still on its way by itself.

    Wait, or switch the endpoint on if it is off.
    """

    default_code = "still_pending"


def due_endpoints(*, now: datetime) -> list[UUID]:
    """Return the endpoints that something is to be sent to."""
    due = endpoints.living().filter(off_at=None, webhookstream__due_at__lte=now)
    return list(due.order_by("pk").values_list("pk", flat=True).distinct())


def publish(*, clock: Clock) -> list[UUID]:
    """Queue all that was committed; return the endpoints that something is to be sent to."""
    while feed.publish(now=clock()) == feed.AT_ONCE:
        continue
    return due_endpoints(now=clock())


def deliver_due(*, clock: Clock) -> int:
    """Send what is due, each endpoint in a thread of its own; return the number of attempts."""
    due = publish(clock=clock)
    if len(due) <= 1:
        return sum(deliver_to(endpoint_id=each, clock=clock) for each in due)

    def alone(endpoint_id: UUID) -> int:
        try:
            return deliver_to(endpoint_id=endpoint_id, clock=clock)
        except Exception:
            logger.exception("Delivering to the endpoint %s failed", endpoint_id)
            return 0
        finally:
            connection.close()

    with ThreadPoolExecutor(ENDPOINTS_AT_ONCE) as pool:
        return sum(pool.map(alone, due))


def deliver_to(*, endpoint_id: UUID, clock: Clock) -> int:
    """Send what is due to one endpoint, for a turn at most; return the number of attempts."""
    attempts = 0
    ends = time.monotonic() + TURN_SECONDS
    while time.monotonic() < ends and deliver_next(endpoint_id=endpoint_id, clock=clock):
        attempts += 1
    return attempts


def deliver_next(*, endpoint_id: UUID, clock: Clock) -> bool:
    """Claim the stream that has been due longest and send its next message; return whether there
    was one.
    """
    lease, now = new_id(), clock()
    stream_id = locks.claim_stream(endpoint_id=endpoint_id, now=now, until=now + LEASE, lease=lease)
    if stream_id is None:
        return False
    pending = _pending(stream_id).select_related("event", "endpoint").first()
    outcome = None if pending is None else _send(pending, now)
    _record(stream_id, lease, pending, outcome, clock())
    return True


def _pending(stream_id: int) -> QuerySet[WebhookDelivery]:
    rows = WebhookDelivery.objects.filter(stream=stream_id, status=DeliveryStatus.PENDING)
    return rows.order_by("position")


def message(event: OutboxEvent) -> bytes:
    """Return the body of an event's message."""
    return to_json(
        {
            "id": event.pk,
            "type": event.type,
            "timestamp": event.occurred_at,
            "livemode": event.livemode,
            "customer_id": event.customer_id,
            "data": event.payload,
        }
    ).encode()


def _send(delivery: WebhookDelivery, now: datetime) -> sending.Outcome:
    body = message(delivery.event)
    rows = endpoints.valid_secrets(endpoint_id=delivery.endpoint_id, now=now)
    try:
        signed = signing.sign(rows, message_id=str(delivery.event_id), body=body, now=now)
    except signing.KeyMissing as missing:
        return sending.Outcome(error=str(missing))
    headers = signed | {"content-type": "application/json", "user-agent": "aforo-webhooks"}
    return sending.post(delivery.endpoint.url, body=body, headers=headers)


@transaction.atomic
def _record(
    stream_id: int,
    lease: UUID,
    delivery: WebhookDelivery | None,
    outcome: sending.Outcome | None,
    now: datetime,
) -> None:
    """Record an attempt, and when the stream is due again. Nothing where the claim has lapsed:
    somebody else has sent the same message.
    """
    if not locks.lock_claimed(stream_id=stream_id, lease=lease):
        return
    wait = timedelta(0)
    if delivery is not None and outcome is not None:
        wait = _record_attempt(delivery, outcome, now)
    # Read under the lock of the stream, which whoever adds to it takes too.
    due_at = now + wait if _pending(stream_id).exists() else None
    WebhookStream.objects.filter(pk=stream_id).update(lease=None, due_at=due_at)


def _record_attempt(
    delivery: WebhookDelivery, outcome: sending.Outcome, now: datetime
) -> timedelta:
    """Write what came of an attempt; return how long the stream waits."""
    status, wait = DeliveryStatus.DELIVERED, timedelta(0)
    if not outcome.is_success:
        is_last = delivery.attempts >= len(RETRIES)
        status = DeliveryStatus.FAILED if is_last else DeliveryStatus.PENDING
        wait = timedelta(0) if is_last else _with_jitter(RETRIES[delivery.attempts])
    WebhookDelivery.objects.filter(pk=delivery.pk).update(
        status=status,
        attempts=F("attempts") + 1,
        attempted_at=now,
        response_status=outcome.status,
        response_excerpt=outcome.excerpt,
        error=outcome.error,
    )
    _record_health(delivery.endpoint, outcome, now)
    return wait


def _record_health(endpoint: WebhookEndpoint, outcome: sending.Outcome, now: datetime) -> None:
    """Write since when an endpoint fails, and switch it off where it wants nothing more, or has
    failed for days.
    """
    row = WebhookEndpoint.objects.filter(pk=endpoint.pk)
    if outcome.is_success:
        row.exclude(failing_since=None).update(failing_since=None)
        return
    row.filter(failing_since=None).update(failing_since=now)
    if outcome.is_gone:
        reason = "It answered 410, Gone."
    elif row.filter(failing_since__lte=now - SWITCH_OFF_AFTER).exists():
        reason = f"It has answered no message for {SWITCH_OFF_AFTER.days} days."
    else:
        return
    endpoints.switch_off(endpoint_id=endpoint.pk, reason=reason, now=now)


def _with_jitter(wait: timedelta) -> timedelta:
    """Return a time up to a tenth longer, so that what failed together does not come together."""
    return wait + timedelta(milliseconds=secrets.randbelow(wait // timedelta(milliseconds=10)))


@transaction.atomic
def replay(*, delivery: WebhookDelivery, now: datetime) -> WebhookDelivery:
    """Send an event again, outside the order of its customer; the message has the same id.

    Raises: StillPending.
    """
    if delivery.status == DeliveryStatus.PENDING:
        raise StillPending(f"The delivery {delivery.pk} is still on its way.")
    stream = WebhookStream.objects.create(
        endpoint_id=delivery.endpoint_id,
        customer_id=delivery.event.customer_id,
        lane=str(new_id()),
        due_at=now,
    )
    return WebhookDelivery.objects.create(
        stream=stream,
        endpoint_id=delivery.endpoint_id,
        event_id=delivery.event_id,
        position=delivery.position,
        created_at=now,
    )


def get(*, endpoint: WebhookEndpoint, delivery_id: int) -> WebhookDelivery:
    """Return a delivery to an endpoint.

    Raises: UnknownDelivery.
    """
    rows = WebhookDelivery.objects.filter(endpoint=endpoint).select_related("event")
    found = rows.filter(pk=delivery_id).first()
    if found is None:
        raise UnknownDelivery(f"There is no delivery {delivery_id} to {endpoint.url}.")
    return found
