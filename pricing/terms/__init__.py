"""What a price says: frozen terms per pricing model, validated once where they come in."""

from pricing.terms.caps import Beyond, Cap, caps_to_json, parse_caps
from pricing.terms.parsing import parse, parse_rollover
from pricing.terms.rolling import rolled_generations, rolled_parts, rolled_quantity
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
    included_quantity,
)
from pricing.terms.writing import model_of, rollover_to_json, to_json

__all__ = [
    "Beyond",
    "BlockOverage",
    "Cap",
    "FlatRate",
    "Graduated",
    "IncludedQuota",
    "PerUnit",
    "Percentage",
    "PricingModel",
    "Rollover",
    "RolloverMode",
    "Terms",
    "Tier",
    "UnitOverage",
    "Volume",
    "caps_to_json",
    "included_quantity",
    "model_of",
    "parse",
    "parse_caps",
    "parse_rollover",
    "rolled_generations",
    "rolled_parts",
    "rolled_quantity",
    "rollover_to_json",
    "to_json",
]
