"""What the floor above does when credits come or go.

Wallets call nothing above them; billing registers here, when it starts, its payment of arrears
(in the same transaction, under the same lock), who waits for credits, what is owed and what usage
has run up, its refills (once the burn has committed), what is to be paid before credits are paid
back, its invoices for credits sold on account, its claims for credits lost in a dispute, the usage
that is paid by credits which come back to a lapsed lot, and the renewal of customers whose cycle is
over (before an operation, in transactions of its own).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from datetime import datetime
from decimal import Decimal
from functools import partial

from aforo.database.after_commit import after_commit
from aforo.errors import Busy
from ledger.models import Book
from pricing.models import Metric
from wallets.models import TopUp

logger = logging.getLogger(__name__)

_on_credits: list[Callable[[Book], None]] = []
_on_falls: list[Callable[[Collection[int]], None]] = []
_awaiting: list[Callable[[Collection[int]], set[int]]] = []
_on_leaving: list[Callable[[Book], None]] = []
_owed: list[Callable[[Book, str], Decimal]] = []
_overages: list[Callable[[Book, str], Decimal]] = []
_unit_prices: list[Callable[[Book, str, Metric], Decimal | None]] = []
_ended: list[Callable[[Book, str], datetime | None]] = []
_on_sales: list[Callable[[Book, TopUp], str]] = []
_on_losses: list[Callable[[Book, TopUp, Decimal], None]] = []
_renewals: list[Callable[[int], None]] = []
_on_returns: list[Callable[[Book, datetime, datetime], bool]] = []


def when_credits_arrive(do: Callable[[Book], None]) -> None:
    """Register what happens after a grant or top-up; the book is locked then."""
    _on_credits.append(do)


def credits_arrived(book: Book) -> None:
    """Tell the floor above."""
    for do in _on_credits:
        do(book)


def when_asked_who_waits(tell: Callable[[Collection[int]], set[int]]) -> None:
    """Register who knows of which books the next credits pay something or start something."""
    _awaiting.append(tell)


def waiting_for_credits(book_ids: Collection[int]) -> set[int]:
    """Return the books for which the floor above has a use as soon as credits arrive."""
    return {book_id for tell in _awaiting for book_id in tell(book_ids)}


def when_credits_fall(do: Callable[[Collection[int]], None]) -> None:
    """Register what happens after money was burned or held, or a debit refused for want of it."""
    _on_falls.append(do)


def credits_fell(book_ids: Collection[int]) -> None:
    """Tell the floor above, once the caller's transaction has committed.

    What fails there is logged and is no failure of the burn, which stands.
    """
    for do in _on_falls:
        after_commit("what follows a fall of credits", partial(do, book_ids))


def before_money_leaves(do: Callable[[Book], None]) -> None:
    """Register what is paid before credits are paid back; the book is locked then."""
    _on_leaving.append(do)


def money_leaves(book: Book) -> None:
    """Let the floor above burn and collect what is due of a customer's credits first."""
    for do in _on_leaving:
        do(book)


def when_asked_what_is_owed(tell: Callable[[Book, str], Decimal]) -> None:
    """Register who knows what credits yet to come have to pay; the book is locked then."""
    _owed.append(tell)


def owed(book: Book, currency: str) -> Decimal:
    """Ask the floor above what a customer owes in a currency."""
    return sum((tell(book, currency) for tell in _owed), Decimal(0))


def when_asked_usage_overage(tell: Callable[[Book, str], Decimal]) -> None:
    """Register who knows what usage has run up beyond credits; the book is locked then."""
    _overages.append(tell)


def usage_overage(book: Book, currency: str) -> Decimal:
    """Ask the floor above what usage of the open cycles leaves to be invoiced so far."""
    return sum((tell(book, currency) for tell in _overages), Decimal(0))


def when_asked_unit_price(tell: Callable[[Book, str, Metric], Decimal | None]) -> None:
    """Register who knows what a customer's plan asks for one unit of a metric."""
    _unit_prices.append(tell)


def unit_price(book: Book, currency: str, metric: Metric) -> Decimal | None:
    """Ask the floor above what one unit of a metric costs a customer alone, if a plan says it."""
    told = (tell(book, currency, metric) for tell in _unit_prices)
    return next((price for price in told if price is not None), None)


def when_asked_when_service_ended(tell: Callable[[Book, str], datetime | None]) -> None:
    """Register who knows when the last subscription in a currency ended, if none is left."""
    _ended.append(tell)


def service_ended_at(book: Book, currency: str) -> datetime | None:
    """Ask the floor above when the last subscription in a currency ended; None while one lives, or
    where there never was one.
    """
    ends = [end for tell in _ended if (end := tell(book, currency)) is not None]
    return max(ends, default=None)


def when_sold_on_account(do: Callable[[Book, TopUp], str]) -> None:
    """Register who invoices credits sold on account; the book is locked then."""
    _on_sales.append(do)


def sold_on_account(book: Book, top_up: TopUp) -> str:
    """Have a top-up invoiced by the floor above; give the invoice's number."""
    (invoice,) = (do(book, top_up) for do in _on_sales)
    return invoice


def when_credits_are_lost(do: Callable[[Book, TopUp, Decimal], None]) -> None:
    """Register who claims what a lost dispute leaves unpaid; the book is locked then."""
    _on_losses.append(do)


def credits_lost(book: Book, top_up: TopUp, owed: Decimal) -> None:
    """Tell the floor above what a customer owes for credits spent but not paid in the end."""
    for do in _on_losses:
        do(book, top_up, owed)


def when_credits_return(do: Callable[[Book, datetime, datetime], bool]) -> None:
    """Register what credits pay for that come back to a lapsed lot; the book is locked then."""
    _on_returns.append(do)


def credits_returned(book: Book, expired_at: datetime, at: datetime) -> bool:
    """Let what came back at a moment to lots that had expired pay for usage of their lifetime; tell
    whether the rest lapses now.
    """
    return all(do(book, expired_at, at) for do in _on_returns)


def when_renewal_is_due(do: Callable[[int], None]) -> None:
    """Register who begins the next cycles of a book whose cycles are over, in transactions of its
    own.
    """
    _renewals.append(do)


def renew(book_id: int) -> None:
    """Have the floor above begin what is to follow the cycles that are over. No lock may be held.

    What fails there is logged: the operation that asked for it goes on with the credits there are.
    Raises: Busy, when the customer's lock was not had in time.
    """
    for do in _renewals:
        try:
            do(book_id)
        except Busy:
            raise
        except Exception:
            logger.exception("Renewing the book %s failed", book_id)
