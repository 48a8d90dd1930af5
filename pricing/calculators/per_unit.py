"""PER_UNIT: every unit costs the same."""

from __future__ import annotations

from decimal import Decimal

from pricing.calculators.steps import ExactCharge, priced, total
from pricing.terms import PerUnit


def charge(quantity: Decimal, terms: PerUnit) -> ExactCharge:
    """Price q x unit_price: 3,000 tokens at 0.002 cost 6."""
    return total([priced("Units", quantity, terms.unit_price)])
