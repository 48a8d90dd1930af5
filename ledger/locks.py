"""The one lock: on books. It covers every row of their customers (DECISIONS 1 to 3).

Lock order everywhere: a claimed job row, then books by primary key, then campaign and coupon rows
by primary key, then the invoice counter.
"""

from __future__ import annotations

from collections.abc import Collection

from django.db import connection

from ledger.models import Book


def lock_books(ids: Collection[int], *, exclusive: bool) -> list[Book]:
    """Lock books in primary-key order, inside the caller's transaction.

    A single book is queued for on an advisory lock first: a fair queue that more than doubles the
    rate of a hot row. Correctness rests on the row lock. Weaker than FOR UPDATE unless
    `exclusive`, so that inserts that refer to the book do not wait.
    """
    if len(ids) == 1 and not exclusive:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", list(ids))
    books = Book.objects.filter(pk__in=ids).select_related("test_clock")
    return list(books.select_for_update(of=("self",), no_key=not exclusive).order_by("pk"))


def share_books(ids: Collection[int]) -> None:
    """Hold off sealing while rows that refer to the books are added (FOR KEY SHARE, in order)."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM ledger_book WHERE id = ANY(%s) ORDER BY id FOR KEY SHARE", [list(ids)]
        )
