"""What lowers the net of a document: usage that is not billed, and credits owed for settled cycles
that late usage made cheaper. Pure.
"""

from __future__ import annotations

from decimal import Decimal

from aforo.money import ZERO, divide, floor, floor_amount
from billing.calculation.calculation import CalculatedLine, Calculation, CreditOwed, changed
from billing.calculation.stages.tax import unrounded

_BOOKS_PLACES = 12


def forgive(draft: Calculation) -> Calculation:
    """Lower the net by what captures of usage took beyond the credits there were, at most by what
    the cycle itself owes.
    """
    own = draft.subtotal - draft.in_advance - draft.adjusted - draft.discount
    used = max(min(draft.forgiven, own), ZERO)
    lines = draft.lines
    if used > 0:
        lines = (*lines, CalculatedLine("ADJUSTMENT", "Captured beyond the credits", -used))
    return changed(draft, forgiven=used, subtotal=draft.subtotal - used, lines=lines)


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
