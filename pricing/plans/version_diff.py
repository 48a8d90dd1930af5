"""What changed between two versions of a rate plan, field by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from aforo.money import plain
from pricing.catalogue import charges_of
from pricing.models import RatePlanVersion
from pricing.terms import to_json


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field that differs; None where the version does not have it."""

    field: str
    before: str | None
    after: str | None


def diff(before: RatePlanVersion, after: RatePlanVersion) -> list[FieldChange]:
    """Compare two versions, by the codes of their charges and grants."""
    old, new = _flat(before), _flat(after)
    return [
        FieldChange(name, old.get(name), new.get(name))
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]


def _flat(version: RatePlanVersion) -> dict[str, str]:
    flat: dict[str, str] = {}
    whole: dict[str, object] = {
        "burn_order": ", ".join(version.burn_order),
        "minimum_spend": version.minimum_spend,
        "maximum_spend": version.maximum_spend,
        "caps": version.caps,
        "grace_hours": version.grace_hours,
        "draft_hours": version.draft_hours,
        "lapse_grace_hours": version.lapse_grace_hours,
        "late_usage": version.late_usage,
        "tax_class": version.tax_class or None,
        "tax_inclusive": version.tax_inclusive,
        "charges": {
            charge.code: {
                "model": charge.model,
                "description": charge.description,
                "timing": charge.timing,
                "metrics": {metric: plain(weight) for metric, weight in charge.feeds},
                "terms": to_json(charge.terms),
            }
            for charge in charges_of(version)
        },
        "grants": {
            grant.code: {
                "kind": grant.kind,
                "metric": grant.metric.code if grant.metric else None,
                "quantity": plain(grant.quantity),
                "recurrence": grant.recurrence,
                "expires_after_days": grant.expires_after_days,
                "expires_at_cycle_end": grant.expires_at_cycle_end,
                "priority": grant.priority,
                "rollover": grant.rollover,
            }
            for grant in version.grants.select_related("metric").order_by("position", "pk")
        },
    }
    _flatten("", whole, flat)
    return flat


def _flatten(pointer: str, value: object, flat: dict[str, str]) -> None:
    match value:
        case None:
            return
        case Mapping():
            for name, inner in value.items():
                _flatten(f"{pointer}/{name}", inner, flat)
        case list() | tuple():
            for position, inner in enumerate(value):
                _flatten(f"{pointer}/{position}", inner, flat)
        case Decimal():
            flat[pointer] = plain(value)
        case _:
            flat[pointer] = str(value)
