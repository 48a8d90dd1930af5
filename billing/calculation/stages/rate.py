"""Stage 5 prices what is billable."""

from __future__ import annotations

from aforo.money import ZERO, plain
from billing.calculation.calculation import CalculatedLine, Calculation, Demand, changed, traced
from pricing import calculators
from pricing.terms import FlatRate

ADVANCE = "ADVANCE"


def rate(draft: Calculation) -> Calculation:
    """Price the billable quantity by each charge's model, with the steps that explain it.

    Needs: demands. Gives: lines, subtotal, exact. Keeps: the lines sum to the subtotal.
    """
    lines = [line for demand in draft.demands if (line := _line(demand)) is not None]
    subtotal = sum((line.amount for line in lines), ZERO)
    return traced(
        changed(draft, lines=tuple(lines), subtotal=subtotal),
        "Rate",
        given={demand.charge.code: demand.billable for demand in draft.demands},
        found={line.charge: line.amount for line in lines},
        notes=[
            f"{line.charge}: {step.label}, {plain(step.quantity)}"
            + (f" x {plain(step.unit_price)}" if step.unit_price is not None else "")
            + f" = {plain(step.amount)}"
            for line in lines
            for step in line.steps
        ],
    )


def _line(demand: Demand) -> CalculatedLine | None:
    """Price one charge; a charge over nothing that costs nothing has no line."""
    usage = calculators.Usage(demand.billable, demand.events)
    priced = calculators.charge(demand.charge.terms, usage)
    if priced.amount == 0 and demand.used == 0:
        return None
    is_fee = isinstance(demand.charge.terms, FlatRate)
    single = priced.steps[0] if len(priced.steps) == 1 else None
    return CalculatedLine(
        kind="FEE" if is_fee else "USAGE",
        charge=demand.charge.code,
        description=demand.charge.description or demand.charge.code,
        quantity=single.quantity if is_fee and single else demand.billable,
        unit_price=single.unit_price if single else None,
        amount=priced.amount,
        steps=priced.steps,
        in_advance=demand.charge.timing == ADVANCE,
    )
