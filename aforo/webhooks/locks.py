"""The locks of webhooks. Whoever holds one takes no book, and waits for none."""

from __future__ import annotations

from django.db import connection

from aforo.database import advisory_locks


def lock_feed() -> None:
    """Lock the numbering of the feed until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, 0)", [advisory_locks.FEED])
