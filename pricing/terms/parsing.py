"""Parse JSON to terms: each inconsistent field is found once, here, and named by its pointer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from aforo.errors import FieldError, Invalid
from aforo.money import ZERO, plain
from pricing.terms.fields import PRICE, QUANTITY, QUANTITY_ABOVE_ZERO, Fields, Limits
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

# Nobody reads a longer price list, and one request must not make the calculators walk for ever.
TIERS_MAX: Final = 100
ROLLOVER_CYCLES_MAX: Final = 1000

# More than the whole value is 250 typed for 2.5, and a rollover over 100 % would create units.
# Zero is a FLAT_RATE or PER_UNIT price in disguise (or no rollover), so it is most likely a slip.
PERCENT: Final = Limits(integer_digits=3, above_zero=True, maximum=Decimal(100))


def parse(model: str, data: object) -> Terms:
    """Read the terms of one charge.

    Raises: Invalid with every fault at once, pointers relative to the terms. An unknown model is
    reported under the empty pointer, since it stands outside the terms.
    """
    if model not in _PARSERS:
        known = ", ".join(_PARSERS)
        raise Invalid([FieldError("", "unknown_model", f"model must be one of {known}.")])
    known_fields, read = _PARSERS[model]
    faults: list[FieldError] = []
    terms = read(Fields(data, pointer="", known=known_fields, faults=faults))
    if faults:
        raise Invalid(faults)
    return terms


def parse_rollover(data: object) -> Rollover:
    """Read a rollover rule that stands by itself, as in a grant.

    Raises: Invalid with every fault at once, pointers relative to the rule.
    """
    faults: list[FieldError] = []
    rollover = _rollover(Fields(data, pointer="", known=_ROLLOVER_FIELDS, faults=faults))
    if faults:
        raise Invalid(faults)
    return rollover


def _per_unit(fields: Fields) -> PerUnit:
    return PerUnit(
        unit_price=fields.decimal("unit_price", PRICE),
        included_quantity=fields.decimal("included_quantity", QUANTITY, default=ZERO),
    )


def _flat_rate(fields: Fields) -> FlatRate:
    return FlatRate(flat_fee=fields.decimal("flat_fee", PRICE))


def _volume(fields: Fields) -> Volume:
    return Volume(
        tiers=_tiers(fields),
        included_quantity=fields.decimal("included_quantity", QUANTITY, default=ZERO),
    )


def _graduated(fields: Fields) -> Graduated:
    return Graduated(
        tiers=_tiers(fields),
        included_quantity=fields.decimal("included_quantity", QUANTITY, default=ZERO),
    )


def _included_quota(fields: Fields) -> IncludedQuota:
    rollover = Rollover()
    if fields.has("rollover"):
        rule = Fields(
            fields.value("rollover"),
            pointer=fields.at("rollover"),
            known=_ROLLOVER_FIELDS,
            faults=fields.faults,
        )
        rollover = _rollover(rule)
    return IncludedQuota(
        included_quantity=fields.decimal("included_quantity", QUANTITY),
        overage=_overage(fields),
        rollover=rollover,
    )


def _overage(fields: Fields) -> UnitOverage | BlockOverage:
    by_block = [name for name in ("block_size", "block_price") if fields.has(name)]
    if by_block:
        if fields.has("unit_price"):
            fields.fault("unit_price", "not_combinable", f"cannot stand beside {by_block[0]}")
        return BlockOverage(
            block_size=fields.decimal("block_size", QUANTITY_ABOVE_ZERO),
            block_price=fields.decimal("block_price", PRICE),
        )
    if not fields.has("unit_price"):
        fields.fault("unit_price", "required", "is required, or block_size with block_price")
        return UnitOverage(unit_price=ZERO)
    return UnitOverage(unit_price=fields.decimal("unit_price", PRICE))


def _percentage(fields: Fields) -> Percentage:
    minimum_fee = fields.decimal("minimum_fee", PRICE, default=ZERO)
    maximum_fee = fields.optional_decimal("maximum_fee", PRICE)
    _check_order(fields, ("minimum_fee", minimum_fee), ("maximum_fee", maximum_fee))
    return Percentage(
        percent=fields.decimal("percent", PERCENT),
        fixed_fee_per_event=fields.decimal("fixed_fee_per_event", PRICE, default=ZERO),
        minimum_fee=minimum_fee,
        maximum_fee=maximum_fee,
    )


def _tiers(fields: Fields) -> tuple[Tier, ...]:
    rows = fields.objects("tiers", known=("up_to", "unit_price", "flat_fee"), most=TIERS_MAX)
    tiers = tuple(
        Tier(
            up_to=row.nullable_decimal("up_to", QUANTITY_ABOVE_ZERO),
            unit_price=row.decimal("unit_price", PRICE),
            flat_fee=row.decimal("flat_fee", PRICE, default=ZERO),
        )
        for row in rows
    )
    _check_bounds(rows, tiers)
    return tiers


def _check_bounds(rows: list[Fields], tiers: tuple[Tier, ...]) -> None:
    """Check that every bound lies above the one before, and that only the last tier is open."""
    lower = ZERO
    for index, (row, tier) in enumerate(zip(rows, tiers, strict=True), start=1):
        is_last = index == len(tiers)
        if not row.sound("up_to"):
            continue
        if tier.up_to is None:
            if not is_last:
                row.fault("up_to", "open_end_not_last", "may be null only in the last tier")
        elif is_last:
            row.fault("up_to", "open_end_missing", "of the last tier must be null (no end)")
        elif tier.up_to <= lower:
            row.fault(
                "up_to", "not_ascending", f"must be above {plain(lower)}, the bound before it"
            )
        else:
            lower = tier.up_to


_ROLLOVER_FIELDS: Final = ("mode", "percent", "minimum", "maximum", "cycles")
_ROLLOVER_FIELDS_BY_MODE: Final[Mapping[RolloverMode, frozenset[str]]] = {
    RolloverMode.NONE: frozenset(),
    RolloverMode.ALL: frozenset({"cycles"}),
    RolloverMode.PERCENT: frozenset({"percent", "cycles"}),
    RolloverMode.CAPPED: frozenset({"minimum", "maximum", "cycles"}),
}


def _rollover(fields: Fields) -> Rollover:
    mode = _rollover_mode(fields)
    percent = fields.optional_decimal("percent", PERCENT)
    minimum = fields.optional_decimal("minimum", QUANTITY)
    maximum = fields.optional_decimal("maximum", QUANTITY_ABOVE_ZERO)
    cycles = fields.integer("cycles", least=1, most=ROLLOVER_CYCLES_MAX)
    _check_order(fields, ("minimum", minimum), ("maximum", maximum))
    if mode is None:
        return Rollover()
    for name in _ROLLOVER_FIELDS[1:]:
        if fields.has(name) and name not in _ROLLOVER_FIELDS_BY_MODE[mode]:
            fields.fault(name, "not_combinable", f"has no meaning with mode {mode.value}")
    if mode is RolloverMode.PERCENT:
        fields.require("percent")
    if mode is RolloverMode.CAPPED and not (fields.has("minimum") or fields.has("maximum")):
        fields.fault("maximum", "required", "or minimum is required with mode CAPPED")
    return Rollover(mode=mode, percent=percent, minimum=minimum, maximum=maximum, cycles=cycles)


def _rollover_mode(fields: Fields) -> RolloverMode | None:
    if not fields.require("mode"):
        return None
    given = fields.value("mode")
    for mode in RolloverMode:
        if given == mode.value:
            return mode
    fields.fault("mode", "unknown_mode", f"must be one of {', '.join(RolloverMode)}")
    return None


def _check_order(
    fields: Fields, least: tuple[str, Decimal | None], most: tuple[str, Decimal | None]
) -> None:
    (least_name, least_value), (most_name, most_value) = least, most
    if least_value is not None and most_value is not None and least_value > most_value:
        fields.fault(least_name, "minimum_above_maximum", f"must not be above {most_name}")


_PARSERS: Final[Mapping[str, tuple[tuple[str, ...], Callable[[Fields], Terms]]]] = {
    PricingModel.PER_UNIT.value: (("unit_price", "included_quantity"), _per_unit),
    PricingModel.FLAT_RATE.value: (("flat_fee",), _flat_rate),
    PricingModel.VOLUME.value: (("tiers", "included_quantity"), _volume),
    PricingModel.GRADUATED.value: (("tiers", "included_quantity"), _graduated),
    PricingModel.INCLUDED_QUOTA.value: (
        ("included_quantity", "unit_price", "block_size", "block_price", "rollover"),
        _included_quota,
    ),
    PricingModel.PERCENTAGE.value: (
        ("percent", "fixed_fee_per_event", "minimum_fee", "maximum_fee"),
        _percentage,
    ),
}
