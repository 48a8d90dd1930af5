"""Operations of a customer under an idempotency key: lock the book, replay or run once, record."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from aforo.database import bulk
from aforo.errors import FieldError, Invalid
from aforo.ids import new_id
from aforo.protocol import idempotency
from aforo.protocol.idempotency import Answer, KeyedOperation
from aforo.sandbox.services import now_for
from ledger.entries import books
from ledger.models import Book
from wallets.holds.reservations import release_due
from wallets.models import Operation

# Make the content of an answer, or a whole one where its status is another.
Make = Callable[[Book, UUID], dict[str, object] | Answer]

# What was done under a key of a book, which is at most one thing.
UNDER_KEY = "WHERE t.book_id = %s AND t.key = %s"


class AnswersOfBook:
    """The answers of one customer's book, which is locked before the first is looked for."""

    book: Book

    def __init__(self, book_id: int) -> None:
        self._book_id = book_id
        self.operation_id = new_id()

    def find(self, asked: KeyedOperation) -> Operation | None:
        """Lock the book, and find the answer under the key; where there is none, end what is due of
        the reservations.
        """
        self.book = books.lock_book(book_id=self._book_id)
        first = find(book=self.book, key=asked.key)
        if first is None:
            release_due(book=self.book, until=now_for(self.book))
        return first

    def record(self, asked: KeyedOperation, given: Answer) -> None:
        """Record the answer as the operation whose id `make` was given."""
        now = now_for(self.book)
        row = recorded(book=self.book, id=self.operation_id, asked=asked, given=given, now=now)
        row.save(force_insert=True)


def once(
    *,
    livemode: bool,
    customer_id: str,
    key: str,
    operation: str,
    content: object,
    make: Make,
    status: int = 201,
) -> Answer:
    """Run `make` under the lock of a customer's book, at most once for ever per (book, key).

    Raises: UnknownCustomer, KeyReused, and whatever `make` raises; then the key stays free.
    """
    book_id = books.get_book(livemode=livemode, key=customer_id).pk
    asked = KeyedOperation.of(key, operation, content)
    return once_in_book(book_id=book_id, asked=asked, make=make, status=status)


def once_in_book(
    *,
    book_id: int,
    asked: KeyedOperation,
    make: Make,
    status: int = 201,
) -> Answer:
    """Run `make` under a book's lock, at most once for ever per (book, key), after what is due of
    its reservations has ended.

    Raises: KeyReused, and whatever `make` raises; then the key stays free.
    """
    answers = AnswersOfBook(book_id)
    return idempotency.once(
        answers,
        asked=asked,
        make=lambda: make(answers.book, answers.operation_id),
        status=status,
    )


def find(*, book: Book, key: str) -> Operation | None:
    """Return what was done under a key. The book must be locked."""
    found = bulk.select_models(Operation, UNDER_KEY, [book.pk, key])
    return found[0] if found else None


def recorded(
    *,
    book: Book,
    id: UUID,  # noqa: A002
    asked: KeyedOperation,
    given: Answer,
    now: datetime,
) -> Operation:
    """Build the row that records an answer for ever; it is inserted in the transaction of its
    effect.
    """
    return bulk.build(Operation, id=id, book_id=book.pk, created_at=now, **asked.row(given))


def check_expiry(expires_at: datetime | None, now: datetime) -> None:
    if expires_at is not None and expires_at <= now:
        raise Invalid([FieldError("/expires_at", "in_the_past", "It must be in the future.")])
