"""What a price says, one frozen dataclass per pricing model.

Whatever `parse` built satisfies: nothing is negative, tiers ascend and only the last is open,
block sizes are above zero, minimum <= maximum. Amounts and quantities are plain numbers that can
be scaled with `dataclasses.replace`; nothing derived from them is stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import assert_never

from aforo.money import ZERO


class PricingModel(StrEnum):
    PER_UNIT = "PER_UNIT"
    FLAT_RATE = "FLAT_RATE"
    VOLUME = "VOLUME"
    GRADUATED = "GRADUATED"
    INCLUDED_QUOTA = "INCLUDED_QUOTA"
    PERCENTAGE = "PERCENTAGE"


class RolloverMode(StrEnum):
    NONE = "NONE"
    ALL = "ALL"
    PERCENT = "PERCENT"
    CAPPED = "CAPPED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollover:
    """How much of an unused quantity the next cycle takes over, and for how many cycles at most.

    Bounds belong to CAPPED: less than `minimum` rolls nothing, more than `maximum` rolls
    `maximum`. `cycles` of None sets no limit.
    """

    mode: RolloverMode = RolloverMode.NONE
    percent: Decimal | None = None
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    cycles: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """Units up to and including `up_to` (None: without end), from where the tier before ends."""

    up_to: Decimal | None
    unit_price: Decimal
    flat_fee: Decimal = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class PerUnit:
    unit_price: Decimal
    included_quantity: Decimal = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatRate:
    flat_fee: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """All units at the price of the one tier that the total lands in."""

    tiers: tuple[Tier, ...]
    included_quantity: Decimal = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Graduated:
    """Each tier's units at that tier's own price."""

    tiers: tuple[Tier, ...]
    included_quantity: Decimal = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitOverage:
    unit_price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockOverage:
    """A price per started block: one unit over the quota already owes a whole block."""

    block_size: Decimal
    block_price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class IncludedQuota:
    included_quantity: Decimal
    overage: UnitOverage | BlockOverage
    rollover: Rollover = Rollover()


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentage:
    """A share of a value: `percent` is written 2.5 for 2.5 %."""

    percent: Decimal
    fixed_fee_per_event: Decimal = ZERO
    minimum_fee: Decimal = ZERO
    maximum_fee: Decimal | None = None


Terms = PerUnit | FlatRate | Volume | Graduated | IncludedQuota | Percentage


def included_quantity(terms: Terms) -> Decimal:
    """Return the quantity that costs nothing in each period; zero where the model has none."""
    match terms:
        case PerUnit() | Volume() | Graduated() | IncludedQuota():
            return terms.included_quantity
        case FlatRate() | Percentage():
            return ZERO
        case _:
            assert_never(terms)
