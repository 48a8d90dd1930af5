"""INCLUDED_QUOTA: what goes over the quota is priced by the unit or by the started block."""

from __future__ import annotations

from decimal import Decimal
from typing import assert_never

from aforo.money import plain
from pricing.calculators.steps import ExactCharge, priced, total
from pricing.terms import BlockOverage, IncludedQuota, UnitOverage


def charge(over: Decimal, terms: IncludedQuota) -> ExactCharge:
    """Price the quantity over the quota: over x unit_price, or ceil(over / size) x block_price.

    2,001 over in blocks of 1,000 at 5 start three blocks and cost 15. The quota itself was taken
    off before, in the Allowance.
    """
    match terms.overage:
        case UnitOverage(unit_price=unit_price):
            return total([priced("Over the included quantity", over, unit_price)])
        case BlockOverage(block_size=block_size, block_price=block_price):
            blocks = _started(over, block_size)
            return total([priced(f"Started blocks of {plain(block_size)}", blocks, block_price)])
        case _:
            assert_never(terms.overage)


def _started(over: Decimal, block_size: Decimal) -> Decimal:
    """Divide upwards, without a quotient that would have to be rounded (1 / 3)."""
    whole, rest = divmod(over, block_size)
    return whole + 1 if rest else whole
