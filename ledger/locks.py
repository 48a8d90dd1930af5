"""The locks: on books, which cover every row of their customers (docs/decisions.md#d1 to #d3), and
on the months that are posted into (docs/decisions.md#d21).

Lock order everywhere: a claimed job row, then books by primary key, then campaign and coupon rows
by primary key, then the invoice counter. Months are shared by whoever posts, after its books; who
closes a month locks it alone, and locks no book while doing so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any
from uuid import UUID

from django.db import OperationalError, connection
from django.db.transaction import TransactionManagementError

from aforo.database import advisory_locks, bulk
from aforo.database.together import among
from aforo.errors import Busy
from aforo.sandbox.models import TestClock
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
        return _lock("t.id = ANY(%s)", [list(ids)], exclusive=exclusive, wait=wait)


def lock_customers(keys: Collection[str], *, livemode: bool, wait: bool) -> list[Book]:
    """Find the books of customers and lock them in one statement, as `lock_books` does; unknown
    customers have none.
    """
    mine, asked = among("t.key", keys)
    mine, asked = f"t.livemode = %s AND {mine}", [livemode, *asked]
    with _bounded():
        if len(keys) == 1 and wait:
            with connection.cursor() as cursor:
                cursor.execute(
                    f"SELECT pg_advisory_xact_lock(t.id) FROM ledger_book AS t WHERE {mine}",  # noqa: S608
                    asked,
                )
        return _lock(mine, asked, exclusive=False, wait=wait)


def _lock(which: str, asked: Sequence[Any], *, exclusive: bool, wait: bool) -> list[Book]:
    strength = "UPDATE" if exclusive else "NO KEY UPDATE"
    others = "" if wait else "SKIP LOCKED"
    rest = f"WHERE {which} ORDER BY t.id FOR {strength} OF t {others}"
    books = bulk.select_models(Book, rest, asked)
    if ids := {book.test_clock_id for book in books} - {None}:
        # In a statement after the lock: what it waited for may have moved the clock.
        found = bulk.select_models(TestClock, "WHERE t.id = ANY(%s)", [list(ids)])
        clocks: dict[UUID | None, TestClock] = {clock.pk: clock for clock in found}
        for book in books:
            book.test_clock = clocks.get(book.test_clock_id)
    return books


def share_books(ids: Collection[int]) -> set[int]:
    """Lock books against sealing while rows that refer to them are added (FOR KEY SHARE); return
    those that have budgets.
    """
    with _bounded(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, has_budgets FROM ledger_book WHERE id = ANY(%s) ORDER BY id FOR KEY SHARE",
            [list(ids)],
        )
        return {book_id for book_id, has_budgets in cursor.fetchall() if has_budgets}


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
