"""The first cycle of a customer that is over, and starts that were set for later: a subscription
waits in CREATED until its moment, and whoever comes first then (the sweep, a clock, a request)
begins its first cycle, dated at that moment.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import F, Q

from aforo.database import joined
from billing.invoicing import numbering
from billing.models import Subscription, SubscriptionStatus
from billing.month_ends import month_end
from billing.prepaid import reactivation
from billing.progress import Progress
from billing.settlement import advance_billing
from billing.subscriptions import moves, states
from ledger.entries import books

# One that waits for credits has tried to begin: its fee is due.
WAITING = Q(status=SubscriptionStatus.CREATED, is_fee_due=False, starts_at__gt=F("subscribed_at"))
# Asked for every cycle that is settled, so the ORM does not compile it. What ends at the instant of
# a start ends first.
_FIRST = f"""
    WHERE t.customer_id = %s AND (
        (t.status = ANY(%s) AND t.current_ends_at <= %s)
        OR (t.status = '{SubscriptionStatus.CREATED}' AND NOT t.is_fee_due
            AND t.starts_at > t.subscribed_at AND t.starts_at <= %s)
    )
    ORDER BY CASE t.status WHEN '{SubscriptionStatus.CREATED}' THEN t.starts_at
        ELSE t.current_ends_at END, t.status = '{SubscriptionStatus.CREATED}', t.created_at, t.id
    LIMIT 1
"""


def first_over(*, book_id: int, until: datetime) -> Subscription | None:
    """Return the subscription whose open cycle is over by a moment and ended first, if any, once
    those that are to start before that have begun.
    """
    progress = Progress()
    while due := _first(book_id, until):
        if due.status != SubscriptionStatus.CREATED:
            return due
        progress.on_cycle(due)
        month_end.bring_up(book_id=book_id, before=due.starts_at)
        _begin(due)
    return None


def _first(book_id: int, until: datetime) -> Subscription | None:
    found = joined.select(
        Subscription, ["version"], _FIRST, [book_id, [*map(str, states.RUNNING)], until, until]
    )
    return found[0] if found else None


@transaction.atomic
@numbering.at_the_end()
def _begin(due: Subscription) -> None:
    """Begin the first cycle of a subscription at the moment that was set for it; a second caller
    finds it done.

    PREPAID credits of that moment that do not cover its fees leave it waiting for credits; those
    that have come since start it when this is found.
    """
    book = books.lock_book(book_id=due.customer_id, exclusive=True)
    found = Subscription.objects.filter(WAITING, pk=due.pk)
    current = found.select_related("customer__book", "version__plan", "offering").first()
    if current is None:
        return
    at = current.starts_at
    if current.trial_ends_at is not None:
        moves.move(book=book, subscription=current, to=SubscriptionStatus.TRIALING, at=at)
    advance_billing.start_if_paid(book=book, subscription=current, now=at)
    if current.is_fee_due:
        reactivation.reactivate(book=book)
