"""The subscriptions that charge metrics: for each, how far its usage is sealed, and the facts that
decide whether an event is ever billed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import connection

from billing.models import SettlementStatus, SubscriptionStatus
from pricing.models import Charge, LateUsagePolicy

# All that a batch needs of subscriptions, in one read however many customers it names; the ORM
# would compile a statement for each question. A live one, of which there is one at most for a
# metric, comes last.
_CHARGING = f"""
    SELECT subscription.customer_id, feed.metric_id, subscription.starts_at,
        subscription.status = '{SubscriptionStatus.CANCELLED}', subscription.cancelled_at,
        subscription.paused_at, subscription.usage_closed_through, version.grace_hours,
        version.late_usage = '{LateUsagePolicy.RERATE}',
        subscription.status = '{SubscriptionStatus.CANCELLED}' AND EXISTS (
            SELECT FROM billing_settlement AS sealed
            WHERE sealed.subscription_id = subscription.id
                AND sealed.status = '{SettlementStatus.SEALED}'
                AND sealed.counted_until > subscription.usage_closed_through
        )
    FROM billing_subscription AS subscription
    JOIN pricing_rateplanversion AS version ON version.id = subscription.version_id
    JOIN pricing_charge AS charge ON charge.version_id = version.id
    JOIN {Charge.metrics.through._meta.db_table} AS feed ON feed.charge_id = charge.id
    WHERE subscription.customer_id = ANY(%s)
    ORDER BY subscription.status <> '{SubscriptionStatus.CANCELLED}', subscription.cancelled_at
"""  # noqa: S608


class Charging(NamedTuple):
    """A subscription that charges a metric. One that is cancelled may still wait for usage of its
    time.
    """

    starts_at: datetime
    is_cancelled: bool
    cancelled_at: datetime | None
    paused_at: datetime | None
    closed_through: datetime
    grace: timedelta
    is_rerated: bool
    waits: bool

    def covers(self, moment: datetime) -> bool:
        """Return whether a moment lies in its time."""
        is_over = self.cancelled_at is not None and moment >= self.cancelled_at
        return self.starts_at <= moment and not is_over

    @property
    def sealed(self) -> tuple[datetime, datetime] | None:
        """Return from when, and how far, it has sealed usage.

        A cancelled one counted usage of its last instant that had come by then; what comes later
        counts after it, for the next subscription.
        """
        if not self.is_cancelled:
            return self.starts_at, self.closed_through
        if self.cancelled_at is not None and self.closed_through > self.cancelled_at:
            return self.cancelled_at, self.closed_through
        return None


ByMetric = Mapping[tuple[int, int], Sequence[Charging]]


def read_charging(book_ids: Collection[int]) -> ByMetric:
    """Return the subscriptions of books that charge a metric, by book and metric: those that are
    cancelled in the order in which they ended, then the live one. The books must be locked, or
    shared.
    """
    found = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(_CHARGING, [list(book_ids)])
        for book_id, metric_id, *facts, grace_hours, is_rerated, waits in cursor.fetchall():
            found[book_id, metric_id].append(
                Charging._make([*facts, timedelta(hours=grace_hours), is_rerated, waits])
            )
    return found


def counted_at(charging: Sequence[Charging], occurred_at: datetime) -> datetime:
    """Return the instant at which usage counts: later than it occurred when that is sealed."""
    for each in charging:
        if each.waits and each.covers(occurred_at):
            return max(occurred_at, each.closed_through)
    for each in reversed(charging):
        if (sealed := each.sealed) is not None:
            start, closed = sealed
            return max(occurred_at, closed) if occurred_at >= start else occurred_at
    return occurred_at
