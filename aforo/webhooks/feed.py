"""The feed: committed events in one row, each at a position that never changes.

Events commit in another order than they are written in, so a cursor over anything that is known
when they are written would pass over what commits late. They get their positions afterwards, by
one transaction at a time (docs/decisions.md#d350).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Max

from aforo.webhooks import event_filters, locks
from aforo.webhooks.models import OutboxEvent

AT_ONCE: Final = 1_000

# The subquery sorts before its rows are numbered; what version 0.1.0 wrote goes first.
_NUMBER: Final = """
    WITH numbered AS MATERIALIZED (
        SELECT id, nextval('webhooks_feed_position') AS position
        FROM (
            SELECT id FROM webhooks_outboxevent WHERE position IS NULL
            ORDER BY sequence NULLS FIRST, id LIMIT %s
        ) AS waiting
    )
    UPDATE webhooks_outboxevent AS event SET position = numbered.position
    FROM numbered WHERE event.id = numbered.id
    RETURNING event.position
"""


# Events at positions, with the endpoints that want them: of one endpoint, or of all.
_WANTED: Final = """
    FROM webhooks_outboxevent AS event
    JOIN webhooks_webhookendpoint AS endpoint
        ON endpoint.livemode = event.livemode
        AND endpoint.off_at IS NULL AND endpoint.deleted_at IS NULL
        AND endpoint.customer_id IN ('', event.customer_id)
        AND (
            endpoint.events = '{}' OR event.type = ANY(endpoint.events)
            OR split_part(event.type, '.', 1) || '.*' = ANY(endpoint.events)
        )
    WHERE event.position > %s AND event.position <= %s
        AND (%s::uuid IS NULL OR endpoint.id = %s::uuid)
"""
_STREAMS: Final = f"""
    INSERT INTO webhooks_webhookstream (endpoint_id, customer_id, lane, due_at)
    SELECT DISTINCT endpoint.id, event.customer_id, '', %s::timestamptz {_WANTED} ORDER BY 1, 2
    ON CONFLICT (endpoint_id, customer_id, lane) DO UPDATE
    SET due_at = COALESCE(webhooks_webhookstream.due_at, EXCLUDED.due_at)
"""  # noqa: S608
_DELIVERIES: Final = f"""
    INSERT INTO webhooks_webhookdelivery
        (stream_id, endpoint_id, event_id, position, status, attempts, created_at,
         response_excerpt, error)
    SELECT stream.id, wanted.endpoint, wanted.event, wanted.position, 'PENDING', 0,
        %s::timestamptz, '', ''
    FROM (
        SELECT endpoint.id AS endpoint, event.id AS event, event.position, event.customer_id
        {_WANTED}
    ) AS wanted
    JOIN webhooks_webhookstream AS stream ON stream.endpoint_id = wanted.endpoint
        AND stream.customer_id = wanted.customer_id AND stream.lane = ''
    ORDER BY wanted.position
    ON CONFLICT (stream_id, event_id) DO NOTHING
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Page:
    """Events in order, and the position to ask after next; `is_full` where more may follow."""

    events: Sequence[OutboxEvent]
    after: int
    is_full: bool


def publish(*, now: datetime) -> int:
    """Set the positions of committed events, at most a thousand, and queue them for the endpoints
    that want them; return how many there were.

    In order of writing, which for the events of one customer is the order of their commits.
    """
    with transaction.atomic():
        locks.lock_feed()
        # A statement of its own: its snapshot has what was committed before the lock was had.
        with connection.cursor() as cursor:
            cursor.execute(_NUMBER, [AT_ONCE])
            positions = [position for (position,) in cursor.fetchall()]
        if positions:
            _queue(after=min(positions) - 1, until=max(positions), endpoint_id=None, now=now)
    return len(positions)


def top() -> int:
    """Return the highest position."""
    return OutboxEvent.objects.aggregate(top=Max("position"))["top"] or 0


def catch_up(*, endpoint_id: UUID, after: int, now: datetime) -> None:
    """Queue what an endpoint has missed since a position, inside the transaction that switches it
    on.

    Numbering waits: it either sees that the endpoint is on, or is seen here.
    """
    _queue(after=after, until=top(), endpoint_id=endpoint_id, now=now)


def _queue(*, after: int, until: int, endpoint_id: UUID | None, now: datetime) -> None:
    """Write the deliveries of events at positions; what is queued already is passed over."""
    wanted = [after, until, endpoint_id, endpoint_id]
    with connection.cursor() as cursor:
        cursor.execute(_STREAMS, [now, *wanted])
        cursor.execute(_DELIVERIES, [now, *wanted])


def read(
    *,
    livemode: bool,
    after: int,
    limit: int,
    now: datetime,
    type_: str = "",
    customer_id: str = "",
) -> Page:
    """Return the events behind a position, oldest first.

    Raises: Invalid (`unknown_event_type`).
    """
    if type_:
        event_filters.check([type_], "/type")
    publish(now=now)
    end = top()
    events = OutboxEvent.objects.filter(livemode=livemode, position__gt=after, position__lte=end)
    if type_:
        events = events.filter(event_filters.matching(type_))
    if customer_id:
        events = events.filter(customer_id=customer_id)
    page = list(events.order_by("position")[:limit])
    is_full = len(page) == limit
    last = page[-1].position if is_full else max(end, after)
    assert last is not None, "what is filtered by its position has one"
    return Page(page, last, is_full)
