"""Upkeep of the rollups of open cycles, so that pricing under a book's lock adds up only recent
usage.

The lock is held only while a rollup's row is written, which fixes its set; the sum is computed
without it. A second caller waits without the book's lock, and computes nothing again.
"""

from __future__ import annotations

from datetime import datetime

from django.db import connection, transaction

from aforo.sandbox.services import now_for
from billing import locks
from billing.models import Subscription, UsageRollup
from billing.subscriptions import states
from billing.usage import rollups
from ledger.entries import books
from pricing.models import Charge, Metric

# Fewer events than these are added up each time: that takes less than a millisecond.
MANY = 500
_GROWN = f"""
    SELECT DISTINCT subscription.id, metric.id
    FROM billing_subscription AS subscription
    JOIN pricing_charge AS charge ON charge.version_id = subscription.version_id
    JOIN {Charge.metrics.through._meta.db_table} AS feed ON feed.charge_id = charge.id
    JOIN pricing_metric AS metric ON metric.id = feed.metric_id AND metric.aggregation = ANY(%s)
    LEFT JOIN LATERAL (
        SELECT id, through FROM billing_usagerollup
        WHERE book_id = subscription.customer_id AND metric_id = metric.id
            AND subscription_id = subscription.id AND starts_at = subscription.counted_from
            AND events IS NOT NULL
        ORDER BY id DESC LIMIT 1
    ) AS rollup ON true
    WHERE subscription.customer_id = %s AND subscription.status = ANY(%s) AND (
        EXISTS (
            SELECT FROM billing_usageevent
            WHERE book_id = subscription.customer_id AND metric_id = metric.id
                AND counted_at >= coalesce(rollup.through, subscription.counted_from)
            OFFSET %s
        ) OR EXISTS (
            SELECT FROM billing_usageevent
            WHERE book_id = subscription.customer_id AND metric_id = metric.id
                AND behind >= rollup.id
            OFFSET %s
        )
    )
"""  # noqa: S608


def keep_up(*, livemode: bool, customer_id: str) -> None:
    """Update a customer's rollups; an unknown customer has none."""
    book = books.find_books(livemode=livemode, keys=[customer_id]).get(customer_id)
    if book is not None:
        keep_up_book(book_id=book.pk)


def keep_up_book(*, book_id: int) -> None:
    """Write rollups for the metrics of a book's open cycles with many events since their last one.

    To be called before the book is locked: this locks it exclusively for a moment.
    """
    if grown := _grown(book_id):
        _write_rows(book_id, grown)
        uncounted = UsageRollup.objects.filter(book=book_id, events=None).order_by("pk")
        for rollup in uncounted.values_list("pk", flat=True):
            _count(rollup)


def _grown(book_id: int) -> list[tuple[object, int]]:
    with connection.cursor() as cursor:
        cursor.execute(_GROWN, [list(rollups.TALLIED), book_id, list(states.RUNNING), MANY, MANY])
        found: list[tuple[object, int]] = cursor.fetchall()
    return found


@transaction.atomic
def _write_rows(book_id: int, grown: list[tuple[object, int]]) -> None:
    """Write the rows of the next rollups, which fixes their sets: under this lock no event is in
    flight.
    """
    now = now_for(books.lock_book(book_id=book_id, exclusive=True))
    cycles = Subscription.objects.in_bulk({subscription for subscription, _ in grown})
    last = rollups.marks(book_ids=[book_id])
    UsageRollup.objects.bulk_create(
        UsageRollup(
            book_id=book_id,
            metric_id=metric_id,
            subscription=cycles[subscription],
            starts_at=cycles[subscription].counted_from,
            through=_through(cycles[subscription], last.get((book_id, metric_id)), now),
        )
        for subscription, metric_id in grown
        if not _is_begun(last.get((book_id, metric_id)))
    )


def _is_begun(last: UsageRollup | None) -> bool:
    return last is not None and last.events is None


def _through(cycle: Subscription, last: UsageRollup | None, now: datetime) -> datetime:
    """Return the moment that the next rollup reaches: never an earlier one, even where the clocks
    of two machines differ.
    """
    through = max(min(now, cycle.current_ends_at), cycle.counted_from)
    return through if last is None else max(through, last.through)


@transaction.atomic
def _count(rollup_id: int) -> None:
    rollup = locks.lock_uncounted(rollup_id=rollup_id)
    if rollup is not None:
        rollups.count(rollup=rollup, metric=Metric.objects.get(pk=rollup.metric_id))
