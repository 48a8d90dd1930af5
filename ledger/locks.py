"""The locks: on books, which cover every row of their customers (docs/decisions.md#d1 to #d3), and
on the months that are posted into (docs/decisions.md#d21).

Lock order everywhere: a claimed job row, then books by primary key, then campaign and coupon rows
by primary key, then the invoice counter. Months are shared by whoever posts, after its books; who
closes a month locks it alone, and locks no book while doing so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import date

from django.db import OperationalError, connection, models
from django.db.transaction import TransactionManagementError

from aforo.database import advisory_locks, bulk
from aforo.errors import Busy
from ledger.models import Book

_LOCK_NOT_AVAILABLE = "55P03"


@contextmanager
def _bounded() -> Iterator[None]:
    """Raise Busy when a lock could not be had within the role's lock_timeout."""
    try:
        yield
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
            raise
        raise Busy("Others are at work on this customer; send the request again.") from error


def lock_books(ids: Collection[int], *, exclusive: bool, wait: bool) -> list[Book]:
    """Lock books in primary-key order, inside the caller's transaction.

    A single book is queued for on an advisory lock first: a fair queue that more than doubles the
    rate of a hot row. Correctness rests on the row lock. Weaker than FOR UPDATE unless
    `exclusive`, so that inserts that refer to the book do not wait. Without `wait`, books that
    others have locked are left out.
    """
    if not connection.in_atomic_block:
        raise TransactionManagementError(
            "A lock lasts as long as a transaction, and there is none."
        )
    with _bounded():
        if len(ids) == 1 and wait and not exclusive:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", list(ids))
        strength = "UPDATE" if exclusive else "NO KEY UPDATE"
        others = "" if wait else "SKIP LOCKED"
        books = bulk.select_models(
            Book, f"WHERE id = ANY(%s) ORDER BY id FOR {strength} {others}", [list(ids)]
        )
    models.prefetch_related_objects([b for b in books if b.test_clock_id], "test_clock")
    return books


def share_books(ids: Collection[int]) -> None:
    """Lock books against sealing while rows that refer to them are added (FOR KEY SHARE)."""
    with _bounded(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM ledger_book WHERE id = ANY(%s) ORDER BY id FOR KEY SHARE", [list(ids)]
        )


def _month_keys(months: Collection[date]) -> list[int]:
    return sorted(month.year * 100 + month.month for month in months)


def share_months(months: Collection[date]) -> None:
    """Lock months against their close until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock_shared(%s, month) FROM unnest(%s::int[]) AS month",
            [advisory_locks.MONTHS, _month_keys(months)],
        )


def lock_month(month: date) -> None:
    """Wait until nobody posts into a month, and lock it against postings until the transaction
    ends.
    """
    with _bounded(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(%s, %s)", [advisory_locks.MONTHS, *_month_keys([month])]
        )


def lock_exports() -> None:
    """Lock the making of batches and receipts, one transaction at a time, until it ends."""
    with _bounded(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, 0)", [advisory_locks.EXPORTS])


def lock_seals(*, livemode: bool) -> None:
    """Wait until nobody seals the books of a mode; takes no book and waits for none."""
    with _bounded(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(%s, %s)", [advisory_locks.SEALS, int(livemode)]
        )
