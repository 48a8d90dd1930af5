"""The engine: a list of debits, reservations, captures and voids in one transaction, in a handful
of statements.

Each request succeeds or fails alone, in order. The books are locked first; replays, wallets and
lots are read in a later statement than the lock. A key is unique in its book for
ever: the same content gives the first answer again, other content is refused, and a refusal does
not use the key up.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import assert_never
from uuid import UUID

from django.db import transaction

from aforo import actors, money
from aforo.errors import DomainError, NotCovered
from aforo.protocol.idempotency import Answer
from ledger.entries import books as ledger_books
from ledger.models import Book
from wallets.debits import shortages
from wallets.debits.engine import refusing
from wallets.debits.engine.accounts import Paused, Suspended
from wallets.debits.engine.batch import Batch
from wallets.debits.engine.debiting import ReservationOfUsage, capture, debit
from wallets.debits.engine.pricing import OpenPricing
from wallets.debits.engine.requests import (
    DEFAULT_HOLD,
    MAX_HOLD,
    CaptureRequest,
    CustomerBusy,
    CustomerRequest,
    DebitRequest,
    NeedsRenewal,
    Request,
    ReserveRequest,
    Result,
    UsageRequest,
    VoidRequest,
    keyed,
    named,
)
from wallets.debits.engine.reserving import reserve, void
from wallets.debits.shortages import Shortage
from wallets.holds import reservations
from wallets.holds.over_capture import ReservationClosed, ReservationExpired

__all__ = [
    "DEFAULT_HOLD",
    "MAX_HOLD",
    "CaptureRequest",
    "CustomerBusy",
    "CustomerRequest",
    "DebitRequest",
    "NeedsRenewal",
    "Paused",
    "Request",
    "ReservationClosed",
    "ReservationExpired",
    "ReservationOfUsage",
    "ReserveRequest",
    "Result",
    "Suspended",
    "UsageRequest",
    "VoidRequest",
    "execute",
    "keyed",
    "named",
]


@money.exact
@actors.acting(None)
def execute(
    requests: Sequence[Request],
    *,
    livemode: bool,
    wait: bool = True,
    renewed: Collection[int] = (),
    pricing: OpenPricing | None = None,
) -> list[Result]:
    """Execute a list of requests; return an answer or a refusal for each, in order.

    One transaction: locks the books by primary key, commits before it returns (unless the caller
    holds a transaction open). Without `wait`, a request on a book that others have locked is
    refused as Busy, and the rest of the list goes on. A request on a book with a cycle that is over
    is answered NeedsRenewal and leaves the list, unless the caller has `renewed` it. A list of
    usage needs `pricing`, which then decides every request. Raises: Busy when a lock cannot be
    taken in time; then nothing happened. Each request is its own actor's doing; the caller, who
    may run those of others, is none here.
    """
    asked_of, customers = _books_of(requests, livemode=livemode)
    short: list[Shortage] = []
    ids = {book_id for book_id in asked_of if book_id is not None}
    with transaction.atomic():
        locked = ledger_books.lock_books(ids=ids, wait=wait)
        if ids and not locked:
            return [CustomerBusy(customers.get(book_id)) for book_id in asked_of]
        books = {book.key: book for book in locked.values()}
        read = partial(Batch.read, books, pricing=pricing, livemode=livemode)
        results = _take_all(books, requests, asked_of, renewed, read, short)
    shortages.explain(short)
    return [
        CustomerBusy(customers.get(book_id)) if isinstance(result, CustomerBusy) else result
        for result, book_id in zip(results, asked_of, strict=True)
    ]


def _take_all(
    books: Mapping[str, Book],
    requests: Sequence[Request],
    asked_of: Sequence[int | None],
    renewed: Collection[int],
    read: Callable[[Sequence[Request], Sequence[int | None]], Batch],
    short: list[Shortage],
) -> list[Result]:
    """Decide requests in order, and note in `short` what credits do not cover.

    The list is cut where a request has consequences that come before the next, as if each had come
    alone: released credits pay arrears first.
    """
    locked = {book.pk for book in books.values()}
    results: list[Result] = []
    batch = read(requests, asked_of)
    if batch.is_followed:
        batch.follow()
        batch = read(requests, asked_of)
    if batch.pricing is not None and batch.pricing.catch_up():
        batch = read(requests, asked_of)
    for place, (request, book_id) in enumerate(zip(requests, asked_of, strict=True)):
        is_ours = book_id is None or book_id in locked
        results.append(_take(batch, request, renewed, short) if is_ours else CustomerBusy(None))
        if batch.is_followed:
            results[-1] = batch.follow() or results[-1]
            rest = slice(place + 1, None)
            if not requests[rest]:
                return results
            batch = read(requests[rest], asked_of[rest])
    batch.write()
    return results


def _books_of(
    requests: Sequence[Request], *, livemode: bool
) -> tuple[list[int | None], dict[int | None, str]]:
    """Return the book of each request, and the customers by their books; a customer or reservation
    that does not exist is refused later, one by one.
    """
    customers = {
        request.customer_id for request in requests if isinstance(request, CustomerRequest)
    }
    found: dict[str, int] = {}
    if customers:
        found = ledger_books.find_book_ids(livemode=livemode, keys=customers)
    named = [
        request.reservation for request in requests if not isinstance(request, CustomerRequest)
    ]
    reserved: dict[UUID, tuple[int | None, str]] = {}
    if named:
        reserved = dict(reservations.find_books(livemode=livemode, ids=named))
    asked_of = [
        found.get(request.customer_id)
        if isinstance(request, CustomerRequest)
        else reserved.get(request.reservation, (None, ""))[0]
        for request in requests
    ]
    return asked_of, {**{book_id: key for key, book_id in found.items()}, **dict(reserved.values())}


def _take(
    batch: Batch, request: Request, renewed: Collection[int], short: list[Shortage]
) -> Result:
    """Decide one request; its changes are written later, with the rest of the list."""
    try:
        replayed = batch.replay(request)
        if replayed is None:
            _check_renewed(batch, request, renewed)
        with actors.acting(request.actor):
            return replayed or _accept(batch, request)
    except NeedsRenewal as needed:
        return needed
    except DomainError as refusal:
        batch.decline(request, refusal)
        if isinstance(refusal, NotCovered):
            short.append(refusing.shortage(batch, request, refusal))
        return refusal


def _check_renewed(batch: Batch, request: Request, renewed: Collection[int]) -> None:
    """Check that no cycle of the customer waits for the next to begin.

    Raises: NeedsRenewal.
    """
    book_id = batch.book_of(request).pk
    if book_id in batch.renewing and book_id not in renewed:
        raise NeedsRenewal(book_id)


def _accept(batch: Batch, request: Request) -> Answer:
    if batch.pricing is not None:
        return batch.pricing.decide(request)
    match request:
        case DebitRequest():
            return debit(batch, request)
        case ReserveRequest():
            return reserve(batch, request)
        case CaptureRequest():
            return capture(batch, request)
        case VoidRequest():
            return void(batch, request)
        case UsageRequest():
            raise AssertionError("Usage goes to lists that price it.")
        case _:
            assert_never(request)
