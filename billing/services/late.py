"""Which settled cycles usage has arrived for since, and what they then add up to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F

from aforo.periods import Period
from billing.models import Settlement, SettlementKind, SettlementStatus, UsageEvent
from billing.pipeline import usage as usages
from billing.pipeline.draft import MetricUsage
from pricing import services as pricing
from pricing.models import LateUsage as Policy

# How long after its cycle's end usage may still arrive.
LIMIT = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Late:
    """A settled cycle's usage as it was settled, and with what has arrived since."""

    cycle: Settlement
    settled: Mapping[str, MetricUsage]
    arrived: Mapping[str, MetricUsage]


def read_late(*, settlement: Settlement, received_by: datetime | None = None) -> list[Late]:
    """Add up again the settled cycles for which usage had arrived by a cycle's end, or was received
    by a moment where one is named.

    What is sealed stays as it is, so this takes no lock.
    """
    if settlement.cycle == 0 or settlement.subscription.version.late_usage != Policy.RERATE:
        return []
    settled = list(
        Settlement.objects.filter(
            subscription=settlement.subscription,
            kind=SettlementKind.CYCLE,
            status=SettlementStatus.SETTLED,
            ends_at__gte=settlement.starts_at - LIMIT,
            cycle__lt=settlement.cycle,
        )
        .select_related(
            "subscription__customer__book", "subscription__version__plan", "subscription__offering"
        )
        .order_by("cycle")
    )
    occurred = _late_usage(settlement, settled)
    return [
        Late(
            cycle,
            _usage(cycle, cycle.counted_until),
            _usage(cycle, settlement.counted_until, received_by),
        )
        for cycle in settled
        if any(cycle.starts_at <= moment < cycle.ends_at for moment in occurred)
    ]


def _late_usage(settlement: Settlement, settled: Sequence[Settlement]) -> list[datetime]:
    """Give when usage occurred that arrived after its cycle was settled: it counts at the first
    instant of the cycle that was open then.
    """
    openings = {settlement.counted_from, *(cycle.counted_from for cycle in settled[1:])}
    late = UsageEvent.objects.filter(
        book=settlement.book_id,
        metric__in=pricing.metrics_of(settlement.subscription.version),
        counted_at__in=openings if settled else (),
        occurred_at__lt=F("counted_at"),
    )
    return list(late.order_by("occurred_at").values_list("occurred_at", flat=True).distinct())


def _usage(
    cycle: Settlement, counted_before: datetime, received_by: datetime | None = None
) -> dict[str, MetricUsage]:
    """Add up the usage of a settled cycle that had arrived, and was counted, before a moment."""
    limit = cycle.ends_at + LIMIT
    return {
        metric.code: usages.aggregate(
            book_id=cycle.book_id,
            metric=metric,
            starts_at=cycle.counted_from,
            ends_at=counted_before,
            received_by=limit if received_by is None else min(limit, received_by),
            occurred=Period(cycle.starts_at, cycle.ends_at),
            on_time=cycle.counted_until,
        )
        for metric in pricing.metrics_of(cycle.subscription.version)
    }
