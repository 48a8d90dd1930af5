"""A version that says everything a version can say, and what all versions are made of."""

from __future__ import annotations

from typing import Any

from pricing.models import Charge, ChargeMetric, GrantTemplate, RatePlan, RatePlanVersion

WORDS: dict[str, Any] = {
    "burn_order": ["CASH", "PROMO"],
    "minimum_spend": "9",
    "maximum_spend": "900",
    "caps": {"tokens": "1000000", "calls": {"quantity": "5.0", "beyond": "REFUSED"}},
    "grace_hours": 6,
    "draft_hours": 12,
    "lapse_grace_hours": 2,
    "late_usage": "NEXT_CYCLE",
    "tax_class": "ebook",
    "tax_inclusive": True,
    "charges": [
        {"code": "base", "model": "FLAT_RATE", "terms": {"flat_fee": "20"}, "timing": "ADVANCE"},
        {
            "code": "use",
            "description": "Usage",
            "model": "GRADUATED",
            "metrics": [{"metric": "tokens"}, {"metric": "calls", "weight": "2.5"}],
            "terms": {
                "tiers": [
                    {"up_to": "1000", "unit_price": "0.010"},
                    {"up_to": None, "unit_price": "0.005", "flat_fee": "1"},
                ]
            },
        },
    ],
    "grants": [
        {"code": "hello", "kind": "PROMO", "amount": "5", "recurrence": "ONCE",
         "expires_after_days": 14},
        {"kind": "BONUS", "metric": "tokens", "quantity": "20000", "recurrence": "EVERY_CYCLE",
         "expires_at_cycle_end": True, "priority": 5, "ssp_unit_price": "0.002",
         "rollover": {"mode": "CAPPED", "maximum": "500", "cycles": 2}},
    ],
}  # fmt: skip
SAID = [
    "burn_order", "minimum_spend", "maximum_spend", "caps", "grace_hours", "lapse_grace_hours",
    "late_usage", "tax_class", "tax_inclusive", "charges", "grants",
]  # fmt: skip


def say(version: dict[str, Any]) -> dict[str, Any]:
    return {name: version[name] for name in SAID}


def everything() -> list[Any]:
    models = (RatePlan, RatePlanVersion, Charge, ChargeMetric, GrantTemplate)
    return [list(model.objects.order_by("pk").values()) for model in models]
