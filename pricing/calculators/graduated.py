"""GRADUATED: each tier prices only the units that fall in it."""

from __future__ import annotations

from decimal import Decimal

from aforo.money import ZERO
from pricing.calculators.steps import ExactCharge, Step, tier_steps, total
from pricing.terms import Graduated


def charge(quantity: Decimal, terms: Graduated) -> ExactCharge:
    """Price each tier's units, plus the flat fee of each tier that any unit falls in.

    Tiers 1,000 at .010, 10,000 at .008, the rest at .005: 15,000 units cost
    1,000 x .010 + 9,000 x .008 + 5,000 x .005 = 107. No units, no flat fee.
    """
    steps: list[Step] = []
    lower = ZERO
    for index, tier in enumerate(terms.tiers):
        if quantity <= lower:
            break
        upper = quantity if tier.up_to is None else min(quantity, tier.up_to)
        steps += tier_steps(terms.tiers, index, upper - lower)
        lower = upper
    return total(steps)
