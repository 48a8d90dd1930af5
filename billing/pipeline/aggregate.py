"""Stage 3."""

from __future__ import annotations

from dataclasses import replace

from aforo.money import ZERO, plain
from billing.pipeline.draft import Demand, Draft, MetricUsage, traced

_NONE = MetricUsage(ZERO, 0)


def aggregate(draft: Draft) -> Draft:
    """Add up what each charge is asked to price: its metrics, weighted.

    Needs: charges, usage. Gives: a demand per charge. Keeps: everything else.
    An aggregate below zero (a SUM of negative properties) counts as zero.
    """
    demands = []
    notes = []
    for charge in draft.charges:
        used, events = ZERO, 0
        for metric, weight in charge.feeds:
            usage = draft.usage.get(metric, _NONE)
            used += weight * usage.quantity
            events += usage.events
        if used < 0:
            notes.append(f"{charge.code}: the aggregate {plain(used)} counts as zero.")
        demands.append(Demand(charge=charge, used=max(used, ZERO), events=events))
    events_seen = sum(usage.events for usage in draft.usage.values())
    return traced(
        replace(draft, demands=tuple(demands)),
        "Aggregate",
        given={metric: usage.quantity for metric, usage in sorted(draft.usage.items())},
        found={demand.charge.code: demand.used for demand in demands},
        notes=[f"{events_seen} events.", *notes],
    )
