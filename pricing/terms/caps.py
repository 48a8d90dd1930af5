"""Hard caps: how much of a metric a cycle may use, and what happens beyond that. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from aforo.errors import FieldError, Invalid
from aforo.money import plain
from pricing.terms.fields import QUANTITY_ABOVE_ZERO, Fields


class Beyond(StrEnum):
    """What happens to usage beyond a cap: it is priced all the same, or never billed."""

    PRICED = "PRICED"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True)
class Cap:
    quantity: Decimal
    beyond: Beyond = Beyond.PRICED


def parse_caps(data: object) -> dict[str, Cap]:
    """Read caps by metric: `{"quantity": q, "beyond": "REFUSED"}`, or a quantity alone (PRICED).

    Raises: Invalid with every fault at once, pointers relative to the caps.
    """
    if not isinstance(data, Mapping):
        detail = 'Write {metric: {"quantity": q, "beyond": "PRICED"}}.'
        raise Invalid([FieldError("", "invalid_type", detail)])
    faults: list[FieldError] = []
    caps = {str(metric): _cap(str(metric), cap, faults) for metric, cap in data.items()}
    if faults:
        raise Invalid(faults)
    return caps


def caps_to_json(caps: Mapping[str, Cap]) -> dict[str, dict[str, str]]:
    """Write caps in their one canonical form."""
    return {
        metric: {"quantity": plain(cap.quantity), "beyond": cap.beyond.value}
        for metric, cap in caps.items()
    }


def _cap(metric: str, data: object, faults: list[FieldError]) -> Cap:
    if not isinstance(data, Mapping):
        fields = Fields({metric: data}, pointer="", known=[metric], faults=faults)
        return Cap(fields.decimal(metric, QUANTITY_ABOVE_ZERO))
    at = Fields({}, pointer="", known=(), faults=faults).at(metric)
    fields = Fields(data, pointer=at, known=("quantity", "beyond"), faults=faults)
    quantity = fields.decimal("quantity", QUANTITY_ABOVE_ZERO)
    beyond = fields.value("beyond") if fields.has("beyond") else Beyond.PRICED
    if beyond not in list(Beyond):
        fields.fault("beyond", "invalid_choice", f"must be one of {', '.join(Beyond)}")
        return Cap(quantity)
    return Cap(quantity, Beyond(str(beyond)))
