"""Cost basis: the part of the price paid that credits carry (docs/accounting.md#m1, #m2), at the
sale and as they are used.

Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from aforo import money
from aforo.errors import InvariantBroken
from aforo.money import ZERO


@dataclass(frozen=True, slots=True)
class PurchasePart:
    """A part of a purchase: so many credits, what one costs alone, and how many percent of them
    are expected to stay unused (zero where that is not part of the policy).
    """

    face: Decimal
    unit_price: Decimal = Decimal(1)
    unused_percent: Decimal = ZERO

    @property
    def stand_alone_price(self) -> Decimal:
        used = money.proportion(self.face, Decimal(100) - self.unused_percent, Decimal(100))
        return money.to_books(used * self.unit_price)


@money.exact
def allocate(paid: Decimal, parts: Sequence[PurchasePart]) -> list[Decimal]:
    """Split what was paid by stand-alone selling prices (ASC 606-10-32-31); the parts sum to it.

    100 + 20 for 100.00: 83.33 and 16.67; with a quarter of the bonus expected unused 86.96 and
    13.04. 100 and 20,000 tokens at .002: 71.43 and 28.57. A part without a price carries nothing.
    """
    prices = [part.stand_alone_price for part in parts]
    priced = [price for price in prices if price > 0]
    if not priced:
        raise InvariantBroken("Nothing of what is sold has a price.")
    shares = iter(money.split(paid, priced))
    return [next(shares) if price > 0 else ZERO for price in prices]


def remaining_carrying(*, carrying: Decimal, face: Decimal, remaining: Decimal) -> Decimal:
    """Return carrying x remaining / face, to the 12 places of the books.

    It depends on what remains alone, not on the way there, so releases always sum to the lot: 100
    credits that cost 83.33 and lose 20, then 80, release 16.67, then 66.66. The last unit takes
    the remainder.
    """
    if remaining == face:
        return carrying
    return money.proportion(carrying, remaining, face)
