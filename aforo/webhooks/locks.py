"""The locks of webhooks. Whoever holds one takes no book, and waits for none."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import connection

from aforo.database import advisory_locks

_CLAIM = """
    UPDATE webhooks_webhookstream SET lease = %s, due_at = %s
    WHERE id = (
        SELECT stream.id FROM webhooks_webhookstream AS stream
        JOIN webhooks_webhookendpoint AS endpoint ON endpoint.id = stream.endpoint_id
        WHERE stream.endpoint_id = %s AND stream.due_at <= %s
            AND endpoint.off_at IS NULL AND endpoint.deleted_at IS NULL
        ORDER BY stream.due_at, stream.id LIMIT 1
        FOR NO KEY UPDATE OF stream SKIP LOCKED
    )
    RETURNING id
"""


def lock_feed() -> None:
    """Lock the numbering of the feed until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, 0)", [advisory_locks.FEED])


def claim_stream(*, endpoint_id: UUID, now: datetime, until: datetime, lease: UUID) -> int | None:
    """Claim the stream of an endpoint that has been due longest, and return it; none if none is.

    Nobody else finds it due before `until`, by when whoever claimed it is done or dead.
    """
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, [lease, until, endpoint_id, now])
        row = cursor.fetchone()
    return None if row is None else int(row[0])


def lock_claimed(*, stream_id: int, lease: UUID) -> bool:
    """Lock a claimed stream until the transaction ends; return whether the claim still stands."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM webhooks_webhookstream WHERE id = %s AND lease = %s FOR NO KEY UPDATE",
            [stream_id, lease],
        )
        return cursor.fetchone() is not None
