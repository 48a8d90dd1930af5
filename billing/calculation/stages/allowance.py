"""Stage 4 applies included quantities and unit credits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal

from aforo.money import ZERO, divide, plain, to_books
from billing.calculation.calculation import Calculation, Demand, changed, traced
from billing.calculation.credit_coverage import cover
from pricing.terms import FlatRate, Percentage
from wallets.lots.waterfall import Allocation

Burns = Mapping[str, tuple[Allocation, ...]]


def allowance(draft: Calculation) -> Calculation:
    """Deduct the included quantity, then what unit credits pay, before anything is priced.

    Needs: demands, quotas, unit_lots, unit_orders, kept_units. Gives: demands with `included` and
    `from_units`; unit_burns. Keeps: used = included + from_units + billable, per charge.
    A metric that feeds several charges is paid for once: a free unit is free wherever it counts.
    """
    demands = [
        replace(d, included=min(d.used, draft.quotas.get(d.charge.code, ZERO)))
        for d in draft.demands
    ]
    burns: dict[str, tuple[Allocation, ...]] = {}
    for metric in sorted({*draft.unit_lots, *draft.kept_units}):
        need = units_needed(demands, metric)
        order = draft.may_pay(draft.unit_orders.get(metric, draft.money_order))
        kept = draft.kept_units.get(metric, ())
        outcome = cover(kept, draft.unit_lots.get(metric, ()), need, order)
        if outcome.allocations:
            burns[metric] = outcome.allocations
    demands = [replace(demand, from_units=_paid_in_units(demand, burns)) for demand in demands]
    return traced(
        changed(draft, demands=tuple(demands), unit_burns=burns),
        "Allowance",
        given={demand.charge.code: demand.used for demand in demands},
        found={demand.charge.code: demand.billable for demand in demands},
        notes=[
            *(f"{d.charge.code}: {plain(d.included)} included." for d in demands if d.included),
            *(
                f"{metric}: {plain(burn.quantity)} from {burn.kind} units."
                for metric, burned in burns.items()
                for burn in burned
            ),
        ]
        or ["Nothing is included, and no unit credits paid."],
    )


def units_needed(demands: Iterable[Demand], metric: str) -> Decimal:
    """Return how many units of a metric credits may pay, if there are enough."""
    return max((_units_open(demand, metric) for demand in demands), default=ZERO)


def _open(demand: Demand, metric: str) -> Decimal:
    """Return the weighted rest of a metric after the included quantity, used up in the feeds'
    order.
    """
    left = demand.included
    for fed_by, weighted in demand.weighted.items():
        if fed_by == metric:
            return weighted - min(left, weighted)
        left -= min(left, weighted)
    return ZERO


def _units_open(demand: Demand, metric: str) -> Decimal:
    """Return the units of a metric that credits may still pay; a fee or a percentage has none."""
    if isinstance(demand.charge.terms, FlatRate | Percentage):
        return ZERO
    weight = dict(demand.charge.feeds).get(metric)
    return ZERO if weight is None else divide(_open(demand, metric), weight)


def _paid_in_units(demand: Demand, burns: Burns) -> Decimal:
    """Return the weighted quantity that unit credits pay.

    Units that cover all of a metric leave no rest: 28 / 3 is 9.333333333333, and three times that
    would leave a fraction of a unit that starts a block or owes a tier's flat fee.
    """
    weights = dict(demand.charge.feeds)
    paid = ZERO
    for metric, burned in burns.items():
        units, need = sum((b.quantity for b in burned), ZERO), _units_open(demand, metric)
        if need > 0:
            left = _open(demand, metric)
            paid += left if units >= need else min(to_books(weights[metric] * units), left)
    return paid
