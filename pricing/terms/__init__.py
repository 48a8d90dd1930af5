"""What a price says: frozen terms per pricing model, validated once where they come in."""

from pricing.terms.parsing import parse, parse_rollover
from pricing.terms.shapes import (
    BlockOverage,
    FlatRate,
    Graduated,
    IncludedQuota,
    Model,
    Percentage,
    PerUnit,
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
    "BlockOverage",
    "FlatRate",
    "Graduated",
    "IncludedQuota",
    "Model",
    "PerUnit",
    "Percentage",
    "Rollover",
    "RolloverMode",
    "Terms",
    "Tier",
    "UnitOverage",
    "Volume",
    "included_quantity",
    "model_of",
    "parse",
    "parse_rollover",
    "rollover_to_json",
    "to_json",
]
