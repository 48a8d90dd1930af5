"""Fees in advance: a settlement bills the arrears of its cycle and the advance of the next; an
opening bills the advance of the cycle that it begins (docs/decisions.md#d28). Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from billing.calculation import proration
from billing.calculation.calculation import Calculation, ChargeTerms
from billing.calculation.stages.rate import ADVANCE


def charged_ahead(charges: Sequence[ChargeTerms]) -> tuple[ChargeTerms, ...]:
    """Return the charges that are billed in advance."""
    return tuple(charge for charge in charges if charge.timing == ADVANCE)


def of_cycle(loaded: Calculation, ahead: Sequence[ChargeTerms]) -> Calculation:
    """Return what the settlement of a cycle owes: its arrears by the time served, and the fees
    `ahead` of the next cycle, which is a whole one.
    """
    scaled = proration.prorate(loaded)
    arrears = tuple(charge for charge in scaled.charges if charge.timing != ADVANCE)
    return replace(scaled, charges=(*arrears, *ahead))


def of_opening(loaded: Calculation) -> Calculation:
    """Return what an opening owes: the fees in advance, by the time that is left of the cycle."""
    scaled = proration.prorate(loaded)
    return replace(
        scaled,
        charges=charged_ahead(scaled.charges),
        usage={},
        caps={},
        rolled_in={},
        minimum_spend=None,
        maximum_spend=None,
        overages=(),
    )
