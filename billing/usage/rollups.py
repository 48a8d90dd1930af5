"""Usage so far of an open cycle: its rollups, and the events that they do not contain. So pricing
in the middle of a cycle reads recent events, not the whole cycle.

P95 and UNIQUE cannot continue from a rollup: they are computed from all events each time.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Exists, OuterRef, Q

from aforo import money
from aforo.database import bulk
from aforo.money import ZERO
from aforo.periods import Period
from billing.calculation.calculation import MetricUsage
from billing.models import Settlement, SettlementStatus, Subscription, UsageEvent, UsageRollup
from billing.usage import aggregates as usages
from pricing import catalogue
from pricing.models import Aggregation, LateUsagePolicy, Metric

# The sum of a rollup and of what came since, and the quantity that follows from it.
_SUMS = {
    Aggregation.COUNT: "events",
    Aggregation.SUM: "trim_scale(found)",
    Aggregation.AVERAGE: "coalesce(round(trim_scale(found) / nullif(events, 0), 12), 0)",
}
# Which event decides; that of the rollup is compared with those that came since.
_DECIDING = {
    Aggregation.MAX: "value DESC, id DESC",
    Aggregation.LATEST: "occurred_at DESC, id DESC",
}
TALLIED = {*_SUMS, *_DECIDING}
_SUM = """
    SELECT {quantity}, found, events, NULL::uuid FROM (
        SELECT coalesce(sum(value), 0) + %s AS found, count(*) + %s AS events FROM part
    ) AS sums
"""
_DECIDED = """
    SELECT coalesce(value, 0), 0, events, decided.id
    FROM (SELECT count(*) + %s AS events FROM part) AS counted
    LEFT JOIN (SELECT id, value FROM part ORDER BY {order} LIMIT 1) AS decided ON true
"""


def latest(*, subscription: Subscription) -> dict[int, UsageRollup]:
    """Return the latest counted rollup of the open cycle, by metric."""
    found = bulk.select_models(
        UsageRollup,
        """
        WHERE t.book_id = %s AND t.subscription_id = %s AND t.starts_at = %s
            AND t.events IS NOT NULL
        ORDER BY t.id
        """,
        [subscription.customer_id, subscription.pk, subscription.counted_from],
    )
    return {rollup.metric_id: rollup for rollup in found}


def marks(*, book_ids: Collection[int]) -> dict[tuple[int, int], UsageRollup]:
    """Return the last rollup by book and metric, counted or not: an event that counts before its
    end is marked as behind it. The books must be locked, or shared.
    """
    found = bulk.select_models(UsageRollup, "WHERE book_id = ANY(%s) ORDER BY id", [list(book_ids)])
    return {(rollup.book_id, rollup.metric_id): rollup for rollup in found}


def behind(mark: UsageRollup | None, counted_at: datetime) -> int | None:
    """Return the rollup that an event which comes now is behind."""
    return mark.pk if mark is not None and counted_at < mark.through else None


def usage_so_far(
    *,
    subscription: Subscription,
    until: datetime,
    only: Metric | None = None,
    unwritten: Sequence[UsageEvent] = (),
) -> dict[str, MetricUsage]:
    """Return the usage that counts in the open cycle before a moment: the figures of
    `aggregates.read_part`, with events of one metric (`only`) that are not written yet.
    """
    kept = latest(subscription=subscription)
    asked = catalogue.metrics_of(subscription.version) if only is None else [only]
    return {
        metric.code: _go_on(subscription, metric, until, kept.get(metric.pk), unwritten)
        for metric in asked
    }


def _go_on(
    subscription: Subscription,
    metric: Metric,
    until: datetime,
    kept: UsageRollup | None,
    unwritten: Sequence[UsageEvent],
) -> MetricUsage:
    unwritten = [e for e in unwritten if e.counted_at is not None and e.counted_at < until]
    if kept is None or until < kept.through:
        return usages.read_metric(
            subscription=subscription,
            metric=metric,
            starts_at=subscription.current_starts_at,
            counted=Period(subscription.counted_from, until),
            unwritten=unwritten,
        )
    quantity, _, events, _ = _add_up(subscription, metric, until, kept, unwritten=unwritten)
    return MetricUsage(money.to_books(quantity), events)


def count_unread(*, subscription: Subscription, metric: Metric, at_most: int) -> int:
    """Return the number of events of a metric that `usage_so_far` reads up to the cycle's end, at
    most a limit.
    """
    kept = latest(subscription=subscription).get(metric.pk)
    since, ends_at = subscription.counted_from, subscription.current_ends_at
    events = Q(counted_at__gte=since if kept is None else kept.through, counted_at__lt=ends_at)
    if kept is not None:
        events |= Q(behind__gte=kept.pk, counted_at__gte=since, counted_at__lt=kept.through)
    found = UsageEvent.objects.filter(events, book=subscription.customer_id, metric=metric)
    return found[:at_most].count()


def count(*, rollup: UsageRollup, metric: Metric) -> None:
    """Compute the sum of a rollup, continuing from the one before it, which is then deleted.

    Its set never changes, so this takes no lock on the book.
    """
    subscription = Subscription.objects.select_related("version").get(pk=rollup.subscription_id)
    if subscription.counted_from != rollup.starts_at:
        ended = subscription.settlements.filter(
            counted_from=rollup.starts_at, status=SettlementStatus.SEALED
        ).first()
        if ended is None:
            # Its cycle is settled, and nothing reads it any more.
            rollup.delete()
            return
        subscription.current_starts_at = ended.starts_at
        subscription.counted_from = ended.counted_from
    base = latest(subscription=subscription).get(metric.pk)
    _, rollup.total, rollup.events, rollup.deciding = _add_up(
        subscription, metric, rollup.through, base, before=rollup.pk
    )
    rollup.save(update_fields=["total", "events", "deciding"])
    # Rollups of cycles that wait to be settled are still continued.
    waiting = Settlement.objects.filter(
        subscription=OuterRef("subscription"),
        counted_from=OuterRef("starts_at"),
        status=SettlementStatus.SEALED,
    )
    older = UsageRollup.objects.filter(book=rollup.book_id, metric=metric, pk__lt=rollup.pk)
    older.filter(Q(starts_at=rollup.starts_at) | ~Exists(waiting)).delete()


def _add_up(
    subscription: Subscription,
    metric: Metric,
    ends_at: datetime,
    kept: UsageRollup | None,
    before: int | None = None,
    unwritten: Sequence[UsageEvent] = (),
) -> tuple[Decimal, Decimal, int, UUID | None]:
    """Return quantity, sum, number of events and deciding event of a rollup and the events that it
    does not contain, also those not written yet; with `before`, without events that came after the
    rollup of that key was written.
    """
    starts_at = subscription.counted_from
    is_rerated = subscription.version.late_usage == LateUsagePolicy.RERATE
    occurred = Period(subscription.current_starts_at, ends_at) if is_rerated else None
    formula = usages.formula_of(metric, occurred=occurred)
    is_counted = metric.aggregation == Aggregation.COUNT
    value, named = ("0", []) if is_counted else (formula.value, formula.named)
    events, given = _events(subscription.customer_id, metric, starts_at, ends_at, kept, before)
    if unwritten:
        events, given = (
            f"{events} UNION ALL {usages.UNWRITTEN}",
            given + usages.as_arrays(unwritten),
        )
    total, number = (ZERO, 0) if kept is None else (kept.total or ZERO, kept.events or 0)
    if metric.aggregation in _SUMS:
        shown = _SUM.format(quantity=_SUMS[Aggregation(metric.aggregation)])
        sums: list[Any] = [total, number]
    else:
        shown = _DECIDED.format(order=_DECIDING[Aggregation(metric.aggregation)])
        # The deciding event is among those that are counted now.
        sums = [number - (0 if kept is None or kept.deciding is None else 1)]
    statement = (
        f"WITH part AS (SELECT id, occurred_at, {value} AS value "  # noqa: S608
        f"FROM ({events}) AS event WHERE true{formula.where}) {shown}"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [*named, *given, *formula.parameters, *sums])
        found: tuple[Decimal, Decimal, int, UUID | None] = cursor.fetchone()
    return Decimal(found[0]), Decimal(found[1]), found[2], found[3]


def _events(
    book_id: int,
    metric: Metric,
    starts_at: datetime,
    ends_at: datetime,
    kept: UsageRollup | None,
    before: int | None,
) -> tuple[str, list[Any]]:
    """Return the SQL for the events that a rollup does not contain, and the one that decided it."""
    whose: list[Any] = [book_id, metric.pk]
    limit = "" if before is None else " AND (behind IS NULL OR behind < %s)"
    limited: list[Any] = [] if before is None else [before]
    since = f"{usages.EVENTS} AND counted_at >= %s AND counted_at < %s{limit}"
    if kept is None:
        return since, [*whose, starts_at, ends_at, *limited]
    behind = f"{usages.EVENTS} AND behind >= %s AND counted_at >= %s AND counted_at < %s{limit}"
    parts = [since, behind]
    given = [*whose, kept.through, ends_at, *limited]
    given += [*whose, kept.pk, starts_at, kept.through, *limited]
    if kept.deciding is not None:
        # It counts before `through`; if it was behind an older rollup, it is in none of these.
        parts.append(f"{usages.EVENTS} AND id = %s")
        given += [*whose, kept.deciding]
    return " UNION ALL ".join(parts), given
