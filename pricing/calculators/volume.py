"""VOLUME: the total decides on one tier, and that tier prices all of it."""

from __future__ import annotations

from decimal import Decimal

from pricing.calculators.steps import ExactCharge, tier_steps, total
from pricing.terms import Volume


def charge(quantity: Decimal, terms: Volume) -> ExactCharge:
    """Price all units in the tier that the total lands in, plus that tier's flat fee.

    Tiers 1,000 at .010, 10,000 at .008, the rest at .005: 10,000 units land in the second tier
    (bounds are inclusive) and cost 80, 15,000 in the third and cost 75. No units, no flat fee.
    """
    index = next(
        index
        for index, tier in enumerate(terms.tiers)
        if tier.up_to is None or quantity <= tier.up_to
    )
    return total(tier_steps(terms.tiers, index, quantity))
