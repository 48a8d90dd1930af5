"""How much consideration a lot still holds (FINANCE 4.1, the cumulative method). Pure."""

from __future__ import annotations

from decimal import Decimal

from aforo import money


def remaining_carrying(*, carrying: Decimal, face: Decimal, remaining: Decimal) -> Decimal:
    """Give carrying x remaining / face, to the 12 places of the books.

    It depends on what remains alone, not on the way there, so releases always sum to the lot: 100
    credits that cost 83.33 and lose 20, then 80, release 16.67, then 66.66. The last unit takes
    the remainder.
    """
    if remaining == face:
        return carrying
    return money.proportion(carrying, remaining, face)
