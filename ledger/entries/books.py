"""Find, open and lock books."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.db import IntegrityError, connection, transaction

from aforo.database import joined
from aforo.errors import Conflict, NotFound
from aforo.sandbox.models import TestClock
from ledger import locks
from ledger.models import Book


class UnknownCustomer(NotFound):
    """No customer of the key's mode has this id.

    Create it by POST /v1/customers, or check whether the key is of the right mode.
    """

    default_code = "unknown_customer"


class BookExists(Conflict):
    """There is a customer with this id already.

    Use it, or another id; a repeated creation is safe under one idempotency key.
    """

    default_code = "customer_exists"


# The company's own book, for what concerns no customer; no customer can be called so.
COMPANY = "~company"


def _can_be_stored(key: str) -> bool:
    """Return whether text has neither NUL nor a lone surrogate, which only JSON can carry."""
    return "\x00" not in key and not any("\ud800" <= character <= "\udfff" for character in key)


def find_books(*, livemode: bool, keys: Collection[str]) -> dict[str, Book]:
    """Find books by customer id, without locking them; unknown ones are absent."""
    sane = [key for key in keys if _can_be_stored(key)]
    found = joined.select(
        Book, ["test_clock"], "WHERE t.livemode = %s AND t.key = ANY(%s)", [livemode, sane]
    )
    return {book.key: book for book in found}


def known(*, livemode: bool, keys: Collection[str]) -> set[str]:
    """Return those of some customer ids that have a book."""
    sane = [key for key in keys if _can_be_stored(key)]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT key FROM ledger_book WHERE livemode = %s AND key = ANY(%s)", [livemode, sane]
        )
        return {key for (key,) in cursor.fetchall()}


def find_clocks(*, livemode: bool, keys: Collection[str]) -> dict[str, tuple[int, datetime | None]]:
    """Find the primary keys of books by customer id, without locking them, each with the moment at
    which its test clock stands, if it has one; unknown ones are absent.
    """
    sane = [key for key in keys if _can_be_stored(key)]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT book.key, book.id, clock.now
            FROM ledger_book AS book
            LEFT JOIN sandbox_testclock AS clock ON clock.id = book.test_clock_id
            WHERE book.livemode = %s AND book.key = ANY(%s)
            """,
            [livemode, sane],
        )
        return {key: (book_id, clock) for key, book_id, clock in cursor.fetchall()}


def get_book(*, livemode: bool, key: str) -> Book:
    """Find one book.

    Raises: UnknownCustomer.
    """
    book = find_books(livemode=livemode, keys=[key]).get(key)
    if book is None:
        raise UnknownCustomer(f"There is no customer {key}.")
    return book


def open_book(*, livemode: bool, key: str, test_clock: TestClock | None = None) -> Book:
    """Open a customer's book.

    Raises: BookExists.
    """
    if key == COMPANY:
        raise BookExists(f"{COMPANY} is the company's own book.")
    try:
        with transaction.atomic():
            return Book.objects.create(livemode=livemode, key=key, test_clock=test_clock)
    except IntegrityError as error:
        if not Book.objects.filter(livemode=livemode, key=key).exists():
            raise
        raise BookExists(f"The customer {key} exists already.") from error


def company_book(*, livemode: bool) -> Book:
    """Return the company's own book of a mode, opened if need be."""
    return Book.objects.get_or_create(livemode=livemode, key=COMPANY)[0]


def lock_books(
    *, ids: Collection[int], exclusive: bool = False, wait: bool = True
) -> dict[int, Book]:
    """Lock books by primary key inside the caller's transaction; read what they cover afterwards.

    `exclusive` also keeps out `share_books`; without `wait`, books that others have locked are
    left out. Raises: Busy after the role's lock_timeout.
    """
    return {book.pk: book for book in locks.lock_books(ids, exclusive=exclusive, wait=wait)}


def lock_customers(*, livemode: bool, keys: Collection[str], wait: bool) -> dict[str, Book]:
    """Find and lock the books of customers inside the caller's transaction, by primary key; those
    of unknown customers are absent, and without `wait` those that others have locked.

    Raises: Busy after the role's lock_timeout.
    """
    sane = {key for key in keys if _can_be_stored(key)}
    found = locks.lock_customers(sane, livemode=livemode, wait=wait) if sane else []
    return {book.key: book for book in found}


def lock_book(*, book_id: int, exclusive: bool = False) -> Book:
    """Lock one book inside the caller's transaction.

    Raises: Busy after the role's lock_timeout.
    """
    return lock_books(ids=[book_id], exclusive=exclusive)[book_id]


def share_books(*, ids: Collection[int]) -> set[int]:
    """Lock books against the sealing of their cycles until the caller's transaction ends; return
    those that have budgets.

    Raises: Busy after the role's lock_timeout.
    """
    return locks.share_books(ids)
