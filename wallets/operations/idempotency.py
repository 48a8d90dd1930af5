"""What every keyed operation of a customer does: lock, replay or run once, remember the answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from aforo.api.idempotency import canonical, check_same
from aforo.errors import FieldError, Invalid
from aforo.ids import new_id
from aforo.sandbox.services import now_for
from ledger.entries import books
from ledger.models import Book
from wallets.holds.reservations import release_due
from wallets.models import Operation
from wallets.operations.responses import Answer, answer


def once(
    *,
    livemode: bool,
    customer_id: str,
    key: str,
    endpoint: str,
    content: object,
    make: Callable[[Book, UUID], dict[str, object]],
    status: int = 201,
) -> Answer:
    """Run `make` under the lock of a customer's book, at most once for ever per (book, key).

    Raises: UnknownCustomer, KeyReused, and whatever `make` raises; then the key stays free.
    """
    book_id = books.get_book(livemode=livemode, key=customer_id).pk
    return once_in_book(
        book_id=book_id, key=key, endpoint=endpoint, content=content, make=make, status=status
    )


def once_in_book(
    *,
    book_id: int,
    key: str,
    endpoint: str,
    content: object,
    make: Callable[[Book, UUID], dict[str, object]],
    status: int = 201,
) -> Answer:
    """Run `make` under a book's lock, at most once for ever per (book, key), after what is due of
    its reservations has ended.

    Raises: KeyReused, and whatever `make` raises; then the key stays free.
    """
    asked = KeyedOperation(key, endpoint, canonical(content))
    with transaction.atomic():
        book = books.lock_book(book_id=book_id)
        first = replay(book=book, asked=asked)
        if first is not None:
            return first
        release_due(book=book, until=now_for(book))
        operation_id = new_id()
        given = answer(status, make(book, operation_id))
        remember(book=book, id=operation_id, asked=asked, given=given)
        return given


@dataclass(frozen=True, slots=True)
class KeyedOperation:
    """A keyed request: `content` is its canonical form."""

    key: str
    endpoint: str
    content: object


def replay(*, book: Book, asked: KeyedOperation) -> Answer | None:
    """Return the first answer under a key, if there is one. The book must be locked.

    Raises: KeyReused.
    """
    first = Operation.objects.filter(book=book, key=asked.key).first()
    if first is None:
        return None
    check_same(
        key=asked.key,
        first=(first.endpoint, first.content),
        again=(asked.endpoint, asked.content),
    )
    return Answer(first.status, first.body, replayed=True)


def remember(*, book: Book, id: UUID, asked: KeyedOperation, given: Answer) -> None:  # noqa: A002
    """Record an answer under its key for ever, in the transaction of its effect."""
    Operation.objects.create(
        id=id,
        book=book,
        key=asked.key,
        endpoint=asked.endpoint,
        content=asked.content,
        status=given.status,
        body=given.body,
        created_at=now_for(book),
    )


def check_expiry(expires_at: datetime | None, now: datetime) -> None:
    if expires_at is not None and expires_at <= now:
        raise Invalid([FieldError("/expires_at", "in_the_past", "It must be in the future.")])
