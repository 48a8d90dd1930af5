"""The journal of estimates: expected breakage at a month's end (docs/accounting.md#e19, #e20).
Pure.
"""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from ledger.posting_rules.parts import (
    BONUS_BREAKAGE,
    CASH_BREAKAGE,
    EXPECTED_BREAKAGE,
    PostingLine,
    signed,
)


def breakage_accrued(
    *, kind: str, change: Decimal, currency: str, lot: UUID | None = None
) -> list[PostingLine]:
    """Recognise expected breakage, or take it back where the estimate fell (below zero)."""
    gain = BONUS_BREAKAGE if kind == "BONUS" else CASH_BREAKAGE
    return signed(EXPECTED_BREAKAGE, gain, change, currency, lot)
