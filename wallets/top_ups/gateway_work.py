"""Everything that gateways are asked about, or say, by themselves: payments, money paid back,
disputes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from uuid import UUID

from wallets.top_ups import gateway_disputes, gateway_refunds, waiting_payments


def books_to_ask(*, now: datetime) -> list[int]:
    """Return the books about which a gateway is to be asked by now."""
    payments = waiting_payments.books_to_ask(now=now)
    paid_back = gateway_refunds.books_to_ask(now=now)
    return sorted({*payments, *paid_back, *gateway_disputes.sandbox_books()})


def ask(*, book_ids: Collection[int] | None = None, now: datetime | None = None) -> int:
    """Ask about everything that waits (of some books), with `now` only where the wait is over;
    return how much was answered. Safe to repeat.
    """
    answered = waiting_payments.resolve_pending(book_ids=book_ids, now=now)
    answered += gateway_refunds.resolve_pending(book_ids=book_ids, now=now)
    return answered + gateway_disputes.follow_sandbox(book_ids=book_ids)


def due_on_clock(*, clock_id: UUID) -> Iterator[tuple[datetime, int, tuple[object, ...]]]:
    """Return what the sandbox's gateway answers or says on a test clock: the moment, the book, and
    an identity that is the same until it is done.
    """
    yield from gateway_refunds.due_on_clock(clock_id=clock_id)
    yield from gateway_disputes.due_on_clock(clock_id=clock_id)
