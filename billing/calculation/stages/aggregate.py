"""Stage 3 aggregates usage per charge."""

from __future__ import annotations

from aforo.money import ZERO, plain, to_books
from billing.calculation.calculation import Calculation, Demand, MetricUsage, changed, traced

_NONE = MetricUsage(ZERO, 0)


def aggregate(draft: Calculation) -> Calculation:
    """Add up the quantity that each charge prices: its metrics, weighted.

    Needs: charges, usage. Gives: a demand per charge. Keeps: everything else.
    A metric's aggregate below zero (a SUM of negative properties) counts as zero.
    """
    demands = []
    for charge in draft.charges:
        fed_by = {metric: draft.usage.get(metric, _NONE) for metric, _ in charge.feeds}
        weighted = {
            metric: to_books(weight * max(fed_by[metric].quantity, ZERO))
            for metric, weight in charge.feeds
        }
        events = sum(usage.events for usage in fed_by.values())
        demands.append(Demand(charge=charge, weighted=weighted, events=events))
    events_seen = sum(usage.events for usage in draft.usage.values())
    return traced(
        changed(draft, demands=tuple(demands)),
        "Aggregate",
        given={metric: usage.quantity for metric, usage in sorted(draft.usage.items())},
        found={demand.charge.code: demand.used for demand in demands},
        notes=[
            f"{events_seen} events.",
            *(
                f"{metric}: the aggregate {plain(usage.quantity)} counts as zero."
                for metric, usage in sorted(draft.usage.items())
                if usage.quantity < 0
            ),
        ],
    )
