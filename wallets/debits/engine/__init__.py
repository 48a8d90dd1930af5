"""The engine: a list of debits, reservations, captures and voids in one transaction, in a handful
of statements.

Each request succeeds or fails alone, in order. The books are locked first; replays, wallets and
lots are read in a later statement than the lock. A key is unique in its book for
ever: the same content gives the first answer again, other content is refused, and a refusal does
not use the key up.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import assert_never

from django.db import transaction

from aforo import actors, money
from aforo.errors import DomainError, NotCovered
from aforo.observability import metrics
from aforo.protocol.idempotency import Answer
from ledger.entries import books as ledger_books
from wallets.budgets.counting import BudgetExceeded
from wallets.debits import shortages
from wallets.debits.engine import refusing
from wallets.debits.engine.accounts import Paused, Suspended
from wallets.debits.engine.batch import Batch
from wallets.debits.engine.debiting import ReservationOfUsage, capture, debit
from wallets.debits.engine.pricing import OpenPricing
from wallets.debits.engine.requests import (
    DEFAULT_HOLD,
    MAX_EXTENDED,
    MAX_HOLD,
    CaptureRequest,
    CustomerBusy,
    CustomerRequest,
    DebitRequest,
    ExtendRequest,
    NeedsRenewal,
    Request,
    ReservationRequest,
    ReserveRequest,
    Result,
    UsageRequest,
    VoidRequest,
    keyed,
    named,
)
from wallets.debits.engine.reserving import extend, reserve, void
from wallets.debits.shortages import Shortage
from wallets.holds import reservations
from wallets.holds.over_capture import ReservationClosed, ReservationExpired

__all__ = [
    "DEFAULT_HOLD",
    "MAX_EXTENDED",
    "MAX_HOLD",
    "CaptureRequest",
    "CustomerBusy",
    "CustomerRequest",
    "DebitRequest",
    "ExtendRequest",
    "NeedsRenewal",
    "Paused",
    "Request",
    "ReservationClosed",
    "ReservationExpired",
    "ReservationOfUsage",
    "ReservationRequest",
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
    asked_of, short = _customers_of(requests, livemode=livemode), list[Shortage]()
    customers = {*asked_of} - {""}
    with transaction.atomic():
        with metrics.timing_lock():
            books = ledger_books.lock_customers(livemode=livemode, keys=customers, wait=wait)
        busy = set[str]()
        if not wait and len(books) < len(customers):
            busy = ledger_books.known(livemode=livemode, keys=customers - books.keys())
        read = partial(Batch.read, books, pricing=pricing, livemode=livemode)
        results = _take_all(busy, requests, asked_of, renewed, read, short)
    shortages.explain(short)
    metrics.count_decided(_outcomes(requests, results))
    return results


def _outcomes(requests: Sequence[Request], results: Sequence[Result]) -> list[tuple[str, str]]:
    """Return the operation of each request and how it was decided, as metrics name them, without
    those that will be asked again.
    """
    return [
        (request.operation, _named(result))
        for request, result in zip(requests, results, strict=True)
        if not isinstance(result, NeedsRenewal | CustomerBusy)
    ]


def _named(result: Result) -> str:
    if isinstance(result, Answer):
        return "replayed" if result.replayed else "accepted"
    return result.code


def _take_all(
    busy: Collection[str],
    requests: Sequence[Request],
    asked_of: Sequence[str],
    renewed: Collection[int],
    read: Callable[[Sequence[Request], Sequence[str]], Batch],
    short: list[Shortage],
) -> list[Result]:
    """Decide requests in order, and note in `short` what credits do not cover. Those of `busy`
    customers are left to a list that waits.

    The list is cut where a request has consequences that come before the next, as if each had come
    alone: released credits pay arrears first.
    """
    results: list[Result] = []
    batch = read(requests, asked_of)
    if batch.is_followed:
        batch.follow()
        batch = read(requests, asked_of)
    if batch.pricing is not None and batch.pricing.catch_up():
        batch = read(requests, asked_of)
    for place, (request, customer) in enumerate(zip(requests, asked_of, strict=True)):
        is_busy = customer in busy
        results.append(CustomerBusy(customer) if is_busy else _take(batch, request, renewed, short))
        if batch.is_followed:
            results[-1] = batch.follow() or results[-1]
            rest = slice(place + 1, None)
            if not requests[rest]:
                return results
            batch = read(requests[rest], asked_of[rest])
    batch.write()
    return results


def _customers_of(requests: Sequence[Request], *, livemode: bool) -> list[str]:
    """Return the customer of each request, "" for a reservation that does not exist; that, or an
    unknown customer, is refused later, one by one.
    """
    named = [
        request.reservation for request in requests if not isinstance(request, CustomerRequest)
    ]
    reserved = reservations.find_customers(livemode=livemode, ids=named) if named else {}
    return [
        request.customer_id
        if isinstance(request, CustomerRequest)
        else reserved.get(request.reservation, "")
        for request in requests
    ]


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
        if isinstance(refusal, NotCovered | BudgetExceeded):
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
        case ExtendRequest():
            return extend(batch, request)
        case UsageRequest():
            raise AssertionError("Usage goes to lists that price it.")
        case _:
            assert_never(request)
