"""FLAT_RATE: one fee, whatever the quantity, zero included."""

from __future__ import annotations

from decimal import Decimal

from pricing.calculators.steps import ExactCharge, priced, total
from pricing.terms import FlatRate


def charge(terms: FlatRate) -> ExactCharge:
    """Price the flat fee."""
    return total([priced("Flat fee", Decimal(1), terms.flat_fee)])
