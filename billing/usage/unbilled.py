"""Unbilled usage: accepted and stored, but never paid for, with the reason as known when it
arrives.

A backdated subscription created later may take such usage up, so the list leaves that out again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from uuid import UUID

from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet

from aforo.periods import Period
from billing.models import (
    Settlement,
    SettlementKind,
    Subscription,
    UnbilledReason,
    UnbilledUsage,
)
from billing.usage import aggregates as usages
from billing.usage.charging import ByMetric, Charging
from billing.usage.events import is_number, property_of
from pricing.models import Metric


@dataclass(frozen=True, slots=True)
class Arrived:
    """An event as it is about to be stored."""

    book_id: int
    metric: Metric
    occurred_at: datetime
    counted_at: datetime
    received_at: datetime
    properties: Mapping[str, object]


class Reasons:
    """The reasons why events of some books are never billed; the books are locked, at least
    shared.
    """

    def __init__(self, book_ids: Sequence[int], charged: ByMetric) -> None:
        self.book_ids = book_ids
        self._charged = charged

    @cached_property
    def _cycles(self) -> dict[int, list[Period]]:
        """Return the settled cycles; read only where usage is older than late usage may be."""
        found = defaultdict(list)
        rows = Settlement.objects.filter(book__in=self.book_ids, kind=SettlementKind.CYCLE)
        for book_id, starts_at, ends_at in rows.values_list("book", "starts_at", "ends_at"):
            found[book_id].append(Period(starts_at, ends_at))
        return found

    def of(self, event: Arrived) -> UnbilledReason | None:
        """Return why an event is never billed; None where it will be."""
        if (reason := _unreadable(event)) is not None:
            return reason
        charging = [
            each
            for each in self._charged.get((event.book_id, event.metric.pk), ())
            if each.covers(event.occurred_at)
        ]
        if not charging:
            return UnbilledReason.NO_SUBSCRIPTION
        reasons = [self._refused(event, each) for each in charging]
        return None if None in reasons else reasons[-1]

    def _refused(self, event: Arrived, by: Charging) -> UnbilledReason | None:
        if by.cancelled_at is not None:
            in_time = event.received_at <= by.cancelled_at + by.grace
            return None if in_time else UnbilledReason.TOO_OLD
        if by.paused_at is not None and event.occurred_at >= by.paused_at:
            return UnbilledReason.PAUSED
        return UnbilledReason.TOO_OLD if by.is_rerated and self._is_too_old(event) else None

    def _is_too_old(self, event: Arrived) -> bool:
        """Return whether an event came too long after its cycle to be rated again."""
        if event.received_at <= event.occurred_at + LIMIT:
            return False
        return event.counted_at > event.occurred_at and not any(
            event.occurred_at in cycle and event.received_at <= cycle.ends_at + LIMIT
            for cycle in self._cycles.get(event.book_id, ())
        )


def _unreadable(event: Arrived) -> UnbilledReason | None:
    name = event.metric.property
    if not name:
        return None
    value = property_of(event.properties, name)
    if value is None:
        return UnbilledReason.MISSING_PROPERTY
    if event.metric.aggregation in usages.TEXTUAL or is_number(value):
        return None
    return UnbilledReason.NOT_A_NUMBER


def note(reasons: Mapping[UUID | str, UnbilledReason]) -> set[str]:
    """Write which of the stored events are not billed; return their ids.

    An event that is not stored was a duplicate, and is not written.
    """
    if not reasons:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO billing_unbilledusage (event_id, book_id, metric_id, reason, noted_at)
            SELECT event.id, event.book_id, event.metric_id, given.reason, clock_timestamp()
            FROM unnest(%s::uuid[], %s::text[]) AS given (id, reason)
            JOIN billing_usageevent event ON event.id = given.id
            RETURNING event_id
            """,
            [[str(event) for event in reasons], [str(reason) for reason in reasons.values()]],
        )
        return {str(row[0]) for row in cursor.fetchall()}


def unbilled(*, livemode: bool) -> QuerySet[UnbilledUsage]:
    """Return the usage that nobody has been or will be billed for."""
    taken_up = Subscription.objects.filter(
        Q(cancelled_at=None) | Q(cancelled_at__gt=OuterRef("event__occurred_at")),
        customer=OuterRef("book"),
        version__charges__metrics=OuterRef("metric"),
        starts_at__lte=OuterRef("event__occurred_at"),
        created_at__gt=OuterRef("noted_at"),
    )
    permanent = Q(reason__in=[UnbilledReason.MISSING_PROPERTY, UnbilledReason.NOT_A_NUMBER])
    rows = UnbilledUsage.objects.filter(book__livemode=livemode)
    return rows.filter(permanent | ~Exists(taken_up))


# How long after its cycle's end usage may still arrive.
LIMIT = timedelta(days=60)
