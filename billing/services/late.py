"""Usage that arrived after its cycle was settled: re-rated by that cycle's terms, the difference a
line of the next settlement (DECISIONS 35).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import F

from aforo.money import ZERO
from aforo.periods import Period
from billing import pipeline
from billing.models import Settlement, SettlementKind, SettlementStatus, UsageEvent
from billing.pipeline import advance, load
from billing.pipeline import usage as usages
from billing.pipeline.draft import LateUsage, MetricUsage
from ledger.models import Book
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


def read_late(*, settlement: Settlement) -> list[Late]:
    """Add up again the settled cycles for which usage had arrived by a sealed cycle's end.

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
        Late(cycle, _usage(cycle, cycle.counted_until), _usage(cycle, settlement.counted_until))
        for cycle in settled
        if any(cycle.starts_at <= moment < cycle.ends_at for moment in occurred)
    ]


def adjustments(*, book: Book, found: Sequence[Late]) -> tuple[LateUsage, ...]:
    """Give what each settled cycle owes more or less by what has arrived, as far as no settlement
    has taken it yet. The book must be locked.
    """
    priced = []
    for late in found:
        cycle = late.cycle
        cycle.refresh_from_db(fields=["late_adjusted"])
        amount = _net(book, cycle, late.arrived) - _net(book, cycle, late.settled)
        period = f"{cycle.starts_at:%Y-%m-%d} to {cycle.ends_at:%Y-%m-%d}"
        part = LateUsage(
            cycle.pk,
            f"Late usage of {period}",
            amount - cycle.late_adjusted,
            load.tax_rate_of(cycle.subscription.customer, load.tax_point(cycle)),
        )
        priced.append(part)
    return tuple(each for each in priced if each.amount != 0)


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


def _usage(cycle: Settlement, counted_before: datetime) -> dict[str, MetricUsage]:
    """Add up the usage of a settled cycle that had arrived, and was counted, before a moment."""
    return {
        metric.code: usages.aggregate(
            book_id=cycle.book_id,
            metric=metric,
            starts_at=cycle.counted_from,
            ends_at=counted_before,
            received_by=cycle.ends_at + LIMIT,
            occurred=Period(cycle.starts_at, cycle.ends_at),
            on_time=cycle.counted_until,
        )
        for metric in pricing.metrics_of(cycle.subscription.version)
    }


def _net(book: Book, cycle: Settlement, usage: Mapping[str, MetricUsage]) -> Decimal:
    """Price a settled cycle's usage by its own terms, after its discount, before tax.

    Unit credits pay what they paid, and what rolled on is no longer included.
    """
    loaded = load.load(
        book=book,
        subscription=cycle.subscription,
        settlement=cycle,
        usage=usage,
        full_period=Period(cycle.full_starts_at, cycle.full_ends_at),
        pays=lambda lot: False,
    )
    rolled_on = {code: sum(map(Decimal, rolled), ZERO) for code, rolled in cycle.rolled_on.items()}
    came = {
        code: loaded.rolled_in.get(code, ZERO) - rolled_on.get(code, ZERO)
        for code in {*loaded.rolled_in, *rolled_on}
    }
    priced = replace(loaded, rolled_in=came, kept_money=(), overages=())
    draft = pipeline.run(advance.of_cycle(priced, ()))
    return draft.subtotal - draft.discount
