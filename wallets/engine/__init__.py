"""The engine: a list of debits, reservations, captures and voids in one transaction, in a handful
of statements.

Each request succeeds or fails alone, in order. The books are locked first; replays, wallets and
lots are read in a later statement than the lock (DECISIONS 2). A key is unique in its book for
ever: the same content gives the first answer again, other content is refused, and a refusal does
not use the key up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from django.db import transaction

from aforo import money
from aforo.errors import DomainError
from ledger import services as ledger
from ledger.models import Book
from wallets.answers import Answer
from wallets.engine.accounts import Paused, Suspended
from wallets.engine.batch import Batch, UnknownReservation
from wallets.engine.debiting import ReservationClosed, ReservationExpired, capture, debit
from wallets.engine.requests import (
    DEFAULT_HOLD,
    MAX_HOLD,
    Ask,
    CaptureRequest,
    DebitRequest,
    Request,
    ReserveRequest,
    Result,
    VoidRequest,
)
from wallets.engine.reserving import reserve, void
from wallets.models import Reservation

__all__ = [
    "DEFAULT_HOLD",
    "MAX_HOLD",
    "CaptureRequest",
    "DebitRequest",
    "Paused",
    "Request",
    "ReservationClosed",
    "ReservationExpired",
    "ReserveRequest",
    "Result",
    "Suspended",
    "UnknownReservation",
    "VoidRequest",
    "execute",
]


@money.exact
def execute(requests: Sequence[Request], *, livemode: bool) -> list[Result]:
    """Take a list of requests; give an answer or a refusal for each, in order.

    One transaction: locks the books by primary key, commits before it returns (unless the caller
    holds a transaction open). Raises: Busy when a lock is not had in time; then nothing happened.
    """
    ids = _book_ids(requests, livemode=livemode)
    with transaction.atomic():
        locked = ledger.lock_books(ids=ids)
        books = {book.key: book for book in locked.values()}
        batch = Batch.read(books, requests, livemode=livemode)
        results = [_take(batch, request) for request in requests]
        batch.write()
    return results


def _book_ids(requests: Sequence[Request], *, livemode: bool) -> set[int]:
    """Find the books in question; what does not exist is refused later, request by request."""
    customers = {request.customer_id for request in requests if isinstance(request, Ask)}
    found: dict[str, Book] = ledger.find_books(livemode=livemode, keys=customers)
    ids = {book.pk for book in found.values()}
    named = [request.reservation for request in requests if not isinstance(request, Ask)]
    if named:
        reserved = Reservation.objects.filter(pk__in=named, book__livemode=livemode)
        ids |= set(reserved.values_list("book_id", flat=True))
    return ids


def _take(batch: Batch, request: Request) -> Result:
    """Decide one request; what it changes is written later, with the rest of the list."""
    try:
        return batch.replay(request) or _accept(batch, request)
    except DomainError as refusal:
        batch.decline(request, refusal)
        return refusal


def _accept(batch: Batch, request: Request) -> Answer:
    match request:
        case DebitRequest():
            return debit(batch, request)
        case ReserveRequest():
            return reserve(batch, request)
        case CaptureRequest():
            return capture(batch, request)
        case VoidRequest():
            return void(batch, request)
        case _:
            assert_never(request)
