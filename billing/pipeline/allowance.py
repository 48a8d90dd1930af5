"""Stage 4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from aforo.money import ZERO, divide, plain
from billing.pipeline.draft import Demand, Draft, traced
from pricing.terms import FlatRate, Percentage
from wallets.waterfall import Allocation, allocate


def allowance(draft: Draft) -> Draft:
    """Take off what is included, then what unit credits pay, before anything has a price.

    Needs: demands, quotas, unit_lots, unit_orders. Gives: demands with `included` and
    `from_units`; unit_burns. Keeps: used = included + from_units + billable, per charge.
    A metric that feeds several charges is paid for once: a free unit is free wherever it counts.
    """
    demands = [
        replace(d, included=min(d.used, draft.quotas.get(d.charge.code, ZERO)))
        for d in draft.demands
    ]
    open_feeds = [_open_feeds(draft, demand) for demand in demands]
    burns: dict[str, tuple[Allocation, ...]] = {}
    paid: dict[str, Decimal] = {}
    for metric, lots in sorted(draft.unit_lots.items()):
        need = max((feeds.get(metric, ZERO) for feeds in open_feeds), default=ZERO)
        outcome = allocate(lots, need, draft.unit_orders.get(metric, draft.money_order))
        if outcome.allocations:
            burns[metric] = outcome.allocations
            paid[metric] = outcome.covered
    demands = [
        replace(demand, from_units=_relief(demand, feeds, paid))
        for demand, feeds in zip(demands, open_feeds, strict=True)
    ]
    return traced(
        replace(draft, demands=tuple(demands), unit_burns=burns),
        "Allowance",
        given={demand.charge.code: demand.used for demand in demands},
        found={demand.charge.code: demand.billable for demand in demands},
        notes=_notes(demands, burns),
    )


def _open_feeds(draft: Draft, demand: Demand) -> dict[str, Decimal]:
    """Give what is left of each metric after the included quantity, eaten in the feeds' order."""
    if isinstance(demand.charge.terms, FlatRate | Percentage):
        return {}
    included = demand.included
    left: dict[str, Decimal] = {}
    for metric, weight in demand.charge.feeds:
        usage = draft.usage.get(metric)
        weighted = weight * max(usage.quantity, ZERO) if usage else ZERO
        eaten = min(included, weighted)
        included -= eaten
        left[metric] = divide(weighted - eaten, weight)
    return left


def _relief(demand: Demand, feeds: dict[str, Decimal], paid: dict[str, Decimal]) -> Decimal:
    """Give the weighted quantity of a charge that unit credits pay."""
    weights = dict(demand.charge.feeds)
    relief = sum(
        (weights[metric] * min(left, paid.get(metric, ZERO)) for metric, left in feeds.items()),
        ZERO,
    )
    return min(relief, demand.used - demand.included)


def _notes(demands: Sequence[Demand], burns: dict[str, tuple[Allocation, ...]]) -> list[str]:
    notes = [f"{d.charge.code}: {plain(d.included)} included." for d in demands if d.included > 0]
    notes += [
        f"{metric}: {plain(burn.quantity)} from {burn.kind} units."
        for metric, burned in burns.items()
        for burn in burned
    ]
    return notes or ["Nothing is included, and no unit credits paid."]
