"""Write terms as JSON, one spelling for one meaning.

Decimals are plain strings; what is left at its default is left out. `parse` reads it back to equal
terms, so two versions of a plan differ exactly where their JSON does.
"""

from __future__ import annotations

from decimal import Decimal
from typing import assert_never

from aforo.money import ZERO, plain
from pricing.terms.shapes import (
    BlockOverage,
    FlatRate,
    Graduated,
    IncludedQuota,
    Percentage,
    PerUnit,
    PricingModel,
    Rollover,
    RolloverMode,
    Terms,
    Tier,
    UnitOverage,
    Volume,
)

Json = dict[str, object]


def model_of(terms: Terms) -> PricingModel:
    """Return the pricing model that the terms belong to."""
    match terms:
        case PerUnit():
            return PricingModel.PER_UNIT
        case FlatRate():
            return PricingModel.FLAT_RATE
        case Volume():
            return PricingModel.VOLUME
        case Graduated():
            return PricingModel.GRADUATED
        case IncludedQuota():
            return PricingModel.INCLUDED_QUOTA
        case Percentage():
            return PricingModel.PERCENTAGE
        case _:
            assert_never(terms)


def to_json(terms: Terms) -> Json:
    """Write terms in their one canonical form."""
    match terms:
        case PerUnit():
            return {"unit_price": plain(terms.unit_price), **_included(terms.included_quantity)}
        case FlatRate():
            return {"flat_fee": plain(terms.flat_fee)}
        case Volume() | Graduated():
            tiers = [_tier(tier) for tier in terms.tiers]
            return {"tiers": tiers, **_included(terms.included_quantity)}
        case IncludedQuota():
            return _included_quota(terms)
        case Percentage():
            return _percentage(terms)
        case _:
            assert_never(terms)


def rollover_to_json(rollover: Rollover) -> Json:
    """Write a rollover rule in its one canonical form."""
    written: Json = {"mode": rollover.mode.value}
    numbers = {
        "percent": rollover.percent,
        "minimum": rollover.minimum,
        "maximum": rollover.maximum,
    }
    written |= {name: plain(value) for name, value in numbers.items() if value is not None}
    if rollover.cycles is not None:
        written["cycles"] = rollover.cycles
    return written


def _included(quantity: Decimal) -> Json:
    return {"included_quantity": plain(quantity)} if quantity != ZERO else {}


def _tier(tier: Tier) -> Json:
    written: Json = {
        "up_to": None if tier.up_to is None else plain(tier.up_to),
        "unit_price": plain(tier.unit_price),
    }
    if tier.flat_fee != ZERO:
        written["flat_fee"] = plain(tier.flat_fee)
    return written


def _included_quota(terms: IncludedQuota) -> Json:
    written: Json = {"included_quantity": plain(terms.included_quantity)}
    match terms.overage:
        case UnitOverage(unit_price=unit_price):
            written["unit_price"] = plain(unit_price)
        case BlockOverage(block_size=block_size, block_price=block_price):
            written["block_size"] = plain(block_size)
            written["block_price"] = plain(block_price)
        case _:
            assert_never(terms.overage)
    if terms.rollover.mode is not RolloverMode.NONE:
        written["rollover"] = rollover_to_json(terms.rollover)
    return written


def _percentage(terms: Percentage) -> Json:
    written: Json = {"percent": plain(terms.percent)}
    if terms.fixed_fee_per_event != ZERO:
        written["fixed_fee_per_event"] = plain(terms.fixed_fee_per_event)
    if terms.minimum_fee != ZERO:
        written["minimum_fee"] = plain(terms.minimum_fee)
    if terms.maximum_fee is not None:
        written["maximum_fee"] = plain(terms.maximum_fee)
    return written
