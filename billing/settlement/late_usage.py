"""Late usage: the settled cycles for which usage has arrived since, and their new sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from aforo.database import joined
from aforo.periods import Period
from billing.calculation.calculation import MetricUsage
from billing.models import Settlement
from billing.settlement import waiting_cycles
from billing.subscriptions import plan_terms
from billing.usage import aggregates as usages
from billing.usage import unbilled
from pricing import catalogue
from pricing.models import LateUsagePolicy as Policy

# Both are asked of every cycle that is settled, so the ORM does not compile them. What came before
# the last settled cycle began has been taken since.
_SETTLED = """
    WHERE t.subscription_id = %s AND t.cycle < %s AND t.kind = 'CYCLE' AND t.status = 'SETTLED'
        AND t.ends_at >= (
            SELECT last.starts_at FROM billing_settlement AS last
            WHERE last.subscription_id = %s AND last.cycle < %s
                AND last.kind = 'CYCLE' AND last.status = 'SETTLED'
            ORDER BY last.cycle DESC LIMIT 1
        ) - %s
    ORDER BY t.cycle
"""
_LATE = """
    SELECT DISTINCT occurred_at FROM billing_usageevent
    WHERE book_id = %s AND metric_id = ANY(%s) AND counted_at = ANY(%s)
        AND occurred_at < counted_at
    ORDER BY occurred_at
"""


@dataclass(frozen=True, slots=True)
class Late:
    """A settled cycle's usage as it was settled, and with the usage that arrived since."""

    cycle: Settlement
    settled: Mapping[str, MetricUsage]
    arrived: Mapping[str, MetricUsage]


def read_late(
    *,
    settlement: Settlement,
    received_by: datetime | None = None,
    occurred_before: datetime | None = None,
) -> list[Late]:
    """Return the usage of the settled cycles for which more had arrived by a cycle's end, or was
    received by a given moment; where asked, only what occurred before another.

    Where the plan bills late usage with the next cycle, only usage that arrived in a pause is read:
    no cycle was open to bill it. What is sealed stays as it is, so this takes no lock.
    """
    if settlement.cycle == 0:
        return []
    earlier = [settlement.subscription_id, settlement.cycle]
    settled = joined.select(
        Settlement, waiting_cycles.RELATED, _SETTLED, [*earlier, *earlier, unbilled.LIMIT]
    )
    if not settled:
        return []
    for cycle in settled:
        cycle.subscription = plan_terms.of_cycle(cycle.subscription, cycle.cycle)
    openings = _openings(settlement, settled)
    occurred = _late_usage(settlement, openings)
    found = []
    for cycle in settled:
        ends_at = min(cycle.ends_at, occurred_before or cycle.ends_at)
        if any(cycle.starts_at <= moment < ends_at for moment in occurred):
            later = [each for each in openings if each >= cycle.counted_until]
            span = Period(cycle.starts_at, ends_at)
            found.append(
                Late(
                    cycle,
                    _usage(cycle, span, (), received_by),
                    _usage(cycle, span, later, received_by),
                )
            )
    return found


def _openings(settlement: Settlement, settled: Sequence[Settlement]) -> list[datetime]:
    """Return the instants at which late usage counts: where a cycle ended, and where it or the next
    one after a pause began.
    """
    ends = {cycle.counted_until for cycle in settled}
    starts = {settlement.counted_from, *(cycle.counted_from for cycle in settled)}
    is_rerated = settlement.subscription.version.late_usage == Policy.RERATE
    return sorted(ends | starts if is_rerated else ends - starts)


def _late_usage(settlement: Settlement, openings: Sequence[datetime]) -> list[datetime]:
    """Return the times of usage that arrived after its cycle was settled."""
    metrics = catalogue.metrics_of(settlement.subscription.version)
    with connection.cursor() as cursor:
        cursor.execute(
            _LATE, [settlement.book_id, [metric.pk for metric in metrics], list(openings)]
        )
        return [moment for (moment,) in cursor.fetchall()]


def _usage(
    cycle: Settlement, span: Period, openings: Sequence[datetime], received_by: datetime | None
) -> dict[str, MetricUsage]:
    """Return the usage of a span that counted in a settled cycle, with late usage that counts at
    some instants.
    """
    limit = cycle.ends_at + unbilled.LIMIT
    return {
        metric.code: usages.aggregate(
            book_id=cycle.book_id,
            metric=metric,
            starts_at=cycle.counted_from,
            ends_at=cycle.counted_until,
            received_by=limit if received_by is None else min(limit, received_by),
            occurred=span,
            on_time=cycle.counted_until,
            also=openings,
        )
        for metric in catalogue.metrics_of(cycle.subscription.version)
    }
