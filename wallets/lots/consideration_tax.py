"""Tax in what credits pay: what is owed follows what was paid for them (docs/decisions.md#d44).
Pure.
"""

from __future__ import annotations

from decimal import Decimal

from aforo.money import ZERO, proportion


def tax_within(gross: Decimal, percent: Decimal) -> Decimal:
    """Return the tax inside a gross amount: 8 of 48 at 20 %. Of units, it is the part of them that
    stands for tax.
    """
    return proportion(gross, percent, 100 + percent)


def pays_net(*, kind: str, taxed_at_sale: bool) -> bool:
    """Return whether credits pay net and owe no tax: promo, for which nothing was paid, and what a
    document has taxed already.
    """
    return kind == "PROMO" or taxed_at_sale


def tax_owed(tax: Decimal, *, face: Decimal, consideration: Decimal) -> Decimal:
    """Return how much of the tax in a payment at face is owed: as much as its consideration holds.

    Of 120 credits at 20 % the face holds 20; where 100.00 was paid for them, 16.67 is owed.
    """
    if tax == 0 or consideration == face:
        return tax
    return proportion(tax, consideration, face) if consideration != 0 else ZERO
