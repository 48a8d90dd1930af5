"""PERCENTAGE: a share of a value and a fee per event, held between a minimum and a maximum."""

from __future__ import annotations

from decimal import Decimal

from aforo.money import plain
from pricing.calculators.steps import ExactCharge, Step, priced, total
from pricing.terms import Percentage


def charge(value: Decimal, events: int, terms: Percentage) -> ExactCharge:
    """Price value x percent / 100 + fixed_fee_per_event x events, inside the two fees.

    2.9 % of 200.00 in 3 events of 0.30 is 5.80 + 0.90 = 6.70. A value of zero still owes the
    minimum. The step that reaches for a bound carries the difference, so the steps keep summing.
    """
    # Moving the point is exact; a division need not be.
    share = terms.percent.scaleb(-2)
    steps = [priced(f"{plain(terms.percent)} % of the value", value, share)]
    if terms.fixed_fee_per_event:
        steps.append(priced("Fixed fee per event", Decimal(events), terms.fixed_fee_per_event))
    return total([*steps, *_bound(total(steps).amount, terms)])


def _bound(amount: Decimal, terms: Percentage) -> list[Step]:
    if amount < terms.minimum_fee:
        label = f"Up to the minimum fee of {plain(terms.minimum_fee)}"
        return [Step(label, Decimal(1), None, terms.minimum_fee - amount)]
    if terms.maximum_fee is not None and amount > terms.maximum_fee:
        label = f"Down to the maximum fee of {plain(terms.maximum_fee)}"
        return [Step(label, Decimal(1), None, terms.maximum_fee - amount)]
    return []
