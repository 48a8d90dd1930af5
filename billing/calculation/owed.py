"""Credits owed for settled cycles that late usage made cheaper, used on later documents. Pure."""

from __future__ import annotations

from decimal import Decimal

from aforo.money import ZERO, divide, floor, floor_amount
from billing.calculation.calculation import CalculatedLine, Calculation, CreditOwed, changed
from billing.calculation.stages.tax import unrounded

_BOOKS_PLACES = 12


def use_credits(draft: Calculation) -> Calculation:
    """Lower the net by the credits owed, the oldest first; what is not used is kept.

    Each credit returns the tax of its own cycle's rate, so neither the net nor its tax falls below
    zero.
    """
    for owed in draft.credits_owed:
        used = _usable(draft, owed)
        if used > 0:
            line = CalculatedLine(
                "ADJUSTMENT", owed.description, -used, adjusts=owed.settlement, credit=owed.id
            )
            draft = changed(draft, subtotal=draft.subtotal - used, lines=(*draft.lines, line))
    return draft


def _usable(draft: Calculation, owed: CreditOwed) -> Decimal:
    most = min(owed.amount, draft.subtotal - draft.discount)
    if owed.tax_rate is not None and owed.tax_rate.percent > 0:
        most = min(most, divide(unrounded(draft), owed.tax_rate.percent.scaleb(-2)))
    if most <= 0:
        return ZERO
    return floor_amount(most, draft.currency) if draft.is_rounded else floor(most, _BOOKS_PLACES)
