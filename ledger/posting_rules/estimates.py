"""The journal of estimates at a month's end: expected breakage (docs/accounting.md#e19, #e20) and
the allowance for losses (docs/accounting.md#e39). Pure.
"""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from ledger.posting_rules.parts import (
    BONUS_BREAKAGE,
    CASH_BREAKAGE,
    CREDIT_LOSSES,
    EXPECTED_BREAKAGE,
    LOSS_ALLOWANCE,
    PostingLine,
    signed,
)


def breakage_accrued(
    *, kind: str, change: Decimal, currency: str, lot: UUID | None = None
) -> list[PostingLine]:
    """Recognise expected breakage, or take it back where the estimate fell (below zero)."""
    gain = BONUS_BREAKAGE if kind == "BONUS" else CASH_BREAKAGE
    return signed(EXPECTED_BREAKAGE, gain, change, currency, lot)


def allowance_adjusted(*, change: Decimal, currency: str) -> list[PostingLine]:
    """Set aside for expected losses, or release what was (below zero)."""
    return signed(CREDIT_LOSSES, LOSS_ALLOWANCE, change, currency)
