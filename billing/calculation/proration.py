"""Proration by time: one formula for a shorter first cycle and both sides of a change of plan.

Scaled are fees, tier bounds, included quantity, minimum and maximum (docs/decisions.md#d37). Prices
per unit, block and event and percentages stay, because usage brings its own time with it. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import assert_never

from aforo.money import ZERO, floor, proportion
from aforo.periods import Period
from billing.calculation.calculation import Calculation, ChargeTerms
from pricing.terms import (
    FlatRate,
    Graduated,
    IncludedQuota,
    Percentage,
    PerUnit,
    Terms,
    Tier,
    Volume,
)

_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class PeriodShare:
    """Served time over full time, in any one unit."""

    served: Decimal
    of_full: Decimal

    @property
    def is_whole(self) -> bool:
        return self.served == self.of_full

    def of(self, amount: Decimal) -> Decimal:
        """Return this share of an amount, at the 12 places of the books: 10 of 31 days of 31 are
        10.

        The whole is returned as it is.
        """
        return amount if self.is_whole else proportion(amount, self.served, self.of_full)

    def of_optional(self, amount: Decimal | None) -> Decimal | None:
        """Return this share of a bound, where there is one."""
        return None if amount is None else self.of(amount)


def share_of(part: Period, full: Period) -> PeriodShare:
    """Return the share that a part has of a full period."""
    return PeriodShare(_length(part), _length(full))


def _length(period: Period) -> Decimal:
    return Decimal((period.ends_at - period.starts_at) // _INSTANT)


def prorate(draft: Calculation) -> Calculation:
    """Scale what a cycle owes that serves only a part of its period; a full cycle stays as it is.

    The included quantity is not scaled here: stage Rollover does that, and `terms` would do it
    twice.
    """
    share = PeriodShare(draft.served, draft.of_full)
    if share.is_whole:
        return draft
    return replace(
        draft,
        charges=tuple(replace(c, terms=_prices(c.terms, share)) for c in draft.charges),
        minimum_spend=share.of_optional(draft.minimum_spend),
        maximum_spend=share.of_optional(draft.maximum_spend),
    )


def charges(priced: Sequence[ChargeTerms], share: PeriodShare) -> tuple[ChargeTerms, ...]:
    """Scale the terms of charges with their included quantity, to present them."""
    return tuple(replace(charge, terms=terms(charge.terms, share)) for charge in priced)


def terms(whole: Terms, share: PeriodShare) -> Terms:
    """Scale terms to a share of their period, with their included quantity."""
    priced = _prices(whole, share)
    match priced:
        case PerUnit() | Volume() | Graduated() | IncludedQuota():
            return replace(priced, included_quantity=share.of(priced.included_quantity))
        case FlatRate() | Percentage():
            return priced
        case _:
            assert_never(priced)


def _prices(whole: Terms, share: PeriodShare) -> Terms:
    match whole:
        case FlatRate():
            return replace(whole, flat_fee=share.of(whole.flat_fee))
        case Volume() | Graduated():
            return replace(whole, tiers=tuple(_tier(tier, share) for tier in whole.tiers))
        case Percentage():
            return replace(
                whole,
                minimum_fee=share.of(whole.minimum_fee),
                maximum_fee=share.of_optional(whole.maximum_fee),
            )
        case PerUnit() | IncludedQuota():
            return whole
        case _:
            assert_never(whole)


def _tier(tier: Tier, share: PeriodShare) -> Tier:
    return replace(tier, up_to=share.of_optional(tier.up_to), flat_fee=share.of(tier.flat_fee))


def stub_grant(*, new: Decimal, largest: Decimal, remaining: PeriodShare, places: int) -> Decimal:
    """Return what a change of plan in mid-period adds to a grant: (new - largest) x the time that
    is left.

    `largest` is the largest quantity granted in the period, so that moving back and forth gains
    nothing. Cut to `places`: 10,000 to 20,000 at a third left gives 3,333 (docs/decisions.md#d37).
    """
    return floor(remaining.of(max(ZERO, new - largest)), places)
