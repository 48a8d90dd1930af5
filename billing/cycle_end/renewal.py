"""Renewal on demand: a request for a customer whose cycle is over begins the next cycle first, so
that between a cycle's end and the sweep nobody is without the plan's credits.

No gateway is asked. A small cycle without grace is settled on the spot; else the next one begins,
and the old one is left to the sweep.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from django.db import connection

from aforo import actors
from aforo.errors import Busy
from aforo.protocol.idempotency import Answer
from aforo.sandbox.services import now_for
from billing.cycle_end import cycle_settlement, next_cycle, starts
from billing.models import Subscription, UsageEvent
from billing.progress import Progress
from billing.settlement import waiting_cycles
from billing.subscriptions import states
from billing.usage import rollup_upkeep, rollups
from ledger.models import Book
from pricing import catalogue
from wallets.debits.engine import NeedsRenewal
from wallets.models import Wallet

logger = logging.getLogger(__name__)

# At most this many events are added up while a request waits.
FEW = 1_000
# Whether a cycle is over, as the wallets have it, and whether one runs or waits to be settled.
_CYCLES = """
    SELECT EXISTS (
        SELECT FROM wallets_wallet WHERE book_id = %(book)s AND renews_at <= %(now)s
    ), EXISTS (
        SELECT FROM billing_subscription WHERE customer_id = %(book)s AND status = ANY(%(running)s)
    ) OR EXISTS (
        SELECT FROM billing_settlement WHERE book_id = %(book)s AND status = 'SEALED'
    )
"""


def check(book: Book) -> None:
    """Check that no cycle of a customer waits for the next to begin.

    Raises: NeedsRenewal.
    """
    if Wallet.objects.filter(book=book, renews_at__lte=now_for(book)).exists():
        raise NeedsRenewal(book.pk)


def first(act: Callable[[], Answer]) -> Answer:
    """Run an operation; where a cycle turns out to be over, renew, and run it once more.

    Raises: NeedsRenewal where that did not help, and whatever `act` raises.
    """
    try:
        return act()
    except NeedsRenewal as needed:
        renew(needed.book_id)
        return act()


def renew_if_due(*, book: Book, now: datetime) -> bool:
    """Renew a customer if a cycle is over; without a lock, and outside of transactions of others.
    Return whether there is a cycle that is not settled.

    Raises: Busy.
    """
    with connection.cursor() as cursor:
        cursor.execute(_CYCLES, {"book": book.pk, "now": now, "running": list(states.RUNNING)})
        is_over, is_any = cursor.fetchone()
    if is_over:
        renew(book.pk)
    return bool(is_any)


def renew(book_id: int) -> None:
    """Roll up a customer's usage and renew its cycles, for somebody who goes on with the credits
    there are, should that fail.

    Raises: Busy, when the customer's lock was not had in time.
    """
    try:
        rollup_upkeep.keep_up_book(book_id=book_id)
        renew_book(book_id)
    except Busy:
        raise
    except Exception:
        logger.exception("Renewing the book %s failed", book_id)


@actors.acting(actors.job("renewal"))
def renew_book(book_id: int) -> None:
    """Begin every cycle of a customer that follows one which is over now, in transactions of its
    own; a second caller finds it done.
    """
    now = now_for(Book.objects.select_related("test_clock").get(pk=book_id))
    progress = Progress()
    while over := starts.first_over(book_id=book_id, until=now):
        progress.on_cycle(over)
        _settle_before(book_id, over.current_ends_at, now)
        if over.version.grace_hours == 0 and _is_small(over):
            cycle_settlement.settle_cycle(subscription=over, now=now, is_locked=True)
        else:
            next_cycle.begin(subscription=over, now=now)


def _settle_before(book_id: int, until: datetime, now: datetime) -> None:
    """Settle the cycles that fell due before the one that is over, in order, while they are small:
    so that the books do not depend on who comes first.
    """
    progress = Progress()
    while due := waiting_cycles.first_due(book_id=book_id, until=until):
        progress.on_settlement(due)
        if not _is_small(waiting_cycles.rewound(due)):
            break
        cycle_settlement.settle_waiting(settlement=due, now=now, is_locked=True)


def _is_small(ended: Subscription) -> bool:
    """Return whether settling a cycle reads few events, and no other cycle's again."""
    metrics = catalogue.metrics_of(ended.version)
    late = UsageEvent.objects.filter(
        book=ended.customer_id,
        metric__in=metrics,
        counted_at=ended.counted_from,
        occurred_at__lt=ended.current_starts_at,
    )
    if late.exists():
        return False
    left = FEW
    for metric in metrics:
        left -= rollups.count_unread(subscription=ended, metric=metric, at_most=left + 1)
        if left < 0:
            return False
    return True
