"""How much breakage has been earned in proportion to use
(docs/accounting.md#m3), by cohort. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from aforo import money
from aforo.money import ZERO

HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class Cohort:
    """What was sold together, in carrying amounts, and what has become of it since."""

    sold: Decimal
    redeemed: Decimal = ZERO
    lapsed: Decimal = ZERO

    @property
    def remaining(self) -> Decimal:
        return self.sold - self.redeemed - self.lapsed


@money.exact
def earned(cohort: Cohort, *, percent: Decimal, unclaimed_percent: Decimal = ZERO) -> Decimal:
    """Return the breakage earned to date, with what has lapsed in it.

    min(redeemed / expected redemption x expected breakage, what can still break), where expected
    breakage is `percent` of what was sold: 1,000 sold, 10 %, 540 used -> 60. What has lapsed has
    been earned whatever the estimate; what a state will have of the rest never is.
    """
    expected = money.proportion(cohort.redeemed, percent, HUNDRED - percent)
    kept = money.proportion(cohort.remaining, HUNDRED - unclaimed_percent, HUNDRED)
    return max(min(expected, cohort.lapsed + kept), cohort.lapsed)


def accrued(cohort: Cohort, *, percent: Decimal, unclaimed_percent: Decimal = ZERO) -> Decimal:
    """Return what of it stands on 2190: earned, but not yet lapsed; never more than remains."""
    return earned(cohort, percent=percent, unclaimed_percent=unclaimed_percent) - cohort.lapsed
