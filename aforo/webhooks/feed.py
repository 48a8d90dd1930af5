"""The feed: committed events in one row, each at a position that never changes.

Events commit in another order than they are written in, so a cursor over anything that is known
when they are written would pass over what commits late. They get their positions afterwards, by
one transaction at a time (docs/decisions.md#d350).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

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


@dataclass(frozen=True, slots=True)
class Page:
    """Events in order, and the position to ask after next; `is_full` where more may follow."""

    events: Sequence[OutboxEvent]
    after: int
    is_full: bool


def publish() -> int:
    """Set the positions of committed events, at most a thousand; return how many there were.

    In order of writing, which for the events of one customer is the order of their commits.
    """
    with transaction.atomic():
        locks.lock_feed()
        # A statement of its own: its snapshot has what was committed before the lock was had.
        with connection.cursor() as cursor:
            cursor.execute(_NUMBER, [AT_ONCE])
            return len(cursor.fetchall())


def read(*, livemode: bool, after: int, limit: int, type_: str = "", customer_id: str = "") -> Page:
    """Return the events behind a position, oldest first.

    Raises: Invalid (`unknown_event_type`).
    """
    if type_:
        event_filters.check([type_], "/type")
    publish()
    top = OutboxEvent.objects.aggregate(top=Max("position"))["top"] or 0
    events = OutboxEvent.objects.filter(livemode=livemode, position__gt=after, position__lte=top)
    if type_:
        events = events.filter(event_filters.matching(type_))
    if customer_id:
        events = events.filter(customer_id=customer_id)
    page = list(events.order_by("position")[:limit])
    is_full = len(page) == limit
    last = page[-1].position if is_full else max(top, after)
    assert last is not None, "what is filtered by its position has one"
    return Page(page, last, is_full)
