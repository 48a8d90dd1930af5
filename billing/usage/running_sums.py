"""Running sums of open cycles for a list of real-time usage: all in one statement, however many
books, cycles and metrics the list touches.

Only metrics that count or sum have one: each further event adds its value, so a list goes on
without reading again. The other aggregations are read anew for each request
(`rollups.usage_so_far`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.db import connection

from aforo import money
from billing.calculation.calculation import MetricUsage
from billing.models import Subscription
from billing.usage import aggregates, rollup_upkeep
from pricing.models import Aggregation, LateUsagePolicy, Metric

SUMMED = frozenset({Aggregation.COUNT, Aggregation.SUM})
_EVER = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A metric of an open cycle: what counts before `until`, and before the cycle's end."""

    subscription: Subscription
    metric: Metric
    until: datetime
    ends_at: datetime


@dataclass(slots=True)
class RunningSum:
    """The events that count before the moment, and those that count in the cycle at all; how many
    of them no rollup contains, and the last rollup of the book and metric: its key, and the moment
    that it reaches.
    """

    total: Decimal
    events: int
    whole: Decimal
    unread: int
    mark: int | None
    reaches: datetime | None

    @property
    def usage(self) -> MetricUsage:
        return MetricUsage(money.to_books(self.total), self.events)

    def plus(self, value: Decimal) -> MetricUsage:
        """Return the usage with one event more."""
        return MetricUsage(money.to_books(self.total + value), self.events + 1)

    def add(self, value: Decimal, *, counts_now: bool) -> None:
        """Add an event; one that is dated ahead counts in the cycle, but not yet."""
        self.whole += value
        if counts_now:
            self.total += value
            self.events += 1


# A rollup that reaches beyond the moment does not serve; then all events of the cycle are read. The
# limit ends a tail that is too long to add up under the lock: whoever meets it rolls up first.
_SUMS = """
    SELECT asked.n,
        coalesce(rollup.total, 0) + tail.total, coalesce(rollup.events, 0) + tail.events,
        coalesce(rollup.total, 0) + tail.whole, tail.unread, mark.id, mark.through
    FROM unnest(
        %s::int[], %s::bigint[], %s::uuid[],
        %s::timestamptz[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[]
    ) AS asked(n, book, subscription, counted_from, occurs_from, until, ends_at)
    LEFT JOIN LATERAL (
        SELECT id, through FROM billing_usagerollup
        WHERE book_id = asked.book AND metric_id = {metric} ORDER BY id DESC LIMIT 1
    ) AS mark ON true
    LEFT JOIN LATERAL (
        SELECT id, through, events, {rolled} AS total FROM billing_usagerollup
        WHERE book_id = asked.book AND metric_id = {metric}
            AND subscription_id = asked.subscription AND starts_at = asked.counted_from
            AND events IS NOT NULL AND through <= asked.until
        ORDER BY id DESC LIMIT 1
    ) AS rollup ON true
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(value) FILTER (WHERE counted_at < asked.until), 0) AS total,
            count(*) FILTER (WHERE counted_at < asked.until) AS events,
            coalesce(sum(value), 0) AS whole, count(*) AS unread
        FROM (
            SELECT counted_at, {value} AS value FROM (
                {stored} WHERE book_id = asked.book AND metric_id = {metric}
                    AND counted_at >= coalesce(rollup.through, asked.counted_from)
                    AND counted_at < asked.ends_at
                UNION ALL
                {stored} WHERE book_id = asked.book AND metric_id = {metric}
                    AND behind >= rollup.id
                    AND counted_at >= asked.counted_from AND counted_at < rollup.through
            ) AS event
            WHERE occurred_at >= asked.occurs_from{where} LIMIT %s
        ) AS recent
    ) AS tail
"""


def read(wanted: Sequence[Wanted]) -> list[RunningSum | None]:
    """Return the running sums that are wanted, in order; None for one whose tail is too long. The
    books must be locked.
    """
    if not wanted:
        return []
    parts, parameters = [], list[Any]()
    by_metric: dict[int, list[tuple[int, Wanted]]] = {}
    for n, each in enumerate(wanted):
        by_metric.setdefault(each.metric.pk, []).append((n, each))
    most = 2 * rollup_upkeep.MANY
    for asked in by_metric.values():
        statement, given = _statement(asked, most)
        parts.append(statement)
        parameters += given
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(f"({part})" for part in parts), parameters)
        rows = {row[0]: row[1:] for row in cursor.fetchall()}
    return [_found(rows[n], most) for n in range(len(wanted))]


def _found(row: Sequence[Any], most: int) -> RunningSum | None:
    total, events, whole, unread, mark, reaches = row
    if unread > most:
        return None
    return RunningSum(Decimal(total), events, Decimal(whole), unread, mark, reaches)


def _statement(asked: Sequence[tuple[int, Wanted]], most: int) -> tuple[str, list[Any]]:
    """Return the SQL, with its parameters, of the sums of one metric."""
    metric = asked[0][1].metric
    is_count = metric.aggregation == Aggregation.COUNT
    formula = aggregates.formula_of(metric)
    value, named = ("1", []) if is_count else (formula.value, formula.named)
    statement = _SUMS.format(
        # A key of the database's own, so that one plan serves the metric for ever.
        metric=int(metric.pk),
        rolled="events" if is_count else "total",
        value=value,
        stored=aggregates.STORED,
        where=formula.where,
    )
    cycles = [each.subscription for _, each in asked]
    arrays = [
        [n for n, _ in asked],
        [cycle.customer_id for cycle in cycles],
        [cycle.pk for cycle in cycles],
        [cycle.counted_from for cycle in cycles],
        list(_occurs_from(cycles)),
        [each.until for _, each in asked],
        [each.ends_at for _, each in asked],
    ]
    return statement, [*arrays, *named, *formula.parameters, most + 1]


def _occurs_from(cycles: Iterable[Subscription]) -> Iterable[datetime]:
    """Return from when on usage must have occurred: late usage of cycles that are rerated counts
    there, and where the plan bills it with the next cycle, it counts here.
    """
    for cycle in cycles:
        is_rerated = cycle.version.late_usage == LateUsagePolicy.RERATE
        yield cycle.current_starts_at if is_rerated else _EVER
