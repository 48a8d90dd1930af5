"""What a version says: validated as a whole, every fault named, then written to a draft."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from aforo.errors import FieldError, Invalid
from pricing import reads
from pricing.models import (
    Charge,
    ChargeMetric,
    GrantTemplate,
    Kind,
    Metric,
    RatePlan,
    RatePlanVersion,
    Recurrence,
    Timing,
)
from pricing.terms import parse, parse_rollover, rollover_to_json, to_json
from pricing.terms.shapes import FlatRate


@dataclass(frozen=True, slots=True)
class Wording:
    """What a version of a rate plan says, as it was sent: charges and grants are raw."""

    charges: Sequence[Mapping[str, Any]]
    grants: Sequence[Mapping[str, Any]] = ()
    burn_order: Sequence[str] = (Kind.PROMO, Kind.BONUS, Kind.CASH)
    minimum_spend: Decimal | None = None
    maximum_spend: Decimal | None = None
    caps: Mapping[str, Decimal] = field(default_factory=dict)
    grace_hours: int = 0


def write(plan: RatePlan, version: RatePlanVersion, wording: Wording) -> RatePlanVersion:
    """Validate a wording as a whole, naming every fault, and write it to a draft."""
    metrics = reads.known_metrics(livemode=plan.livemode)
    faults = _plan_faults(wording, metrics)
    charges = [_read_charge(n, raw, metrics, faults) for n, raw in enumerate(wording.charges)]
    grants = [_read_grant(n, raw, metrics, faults) for n, raw in enumerate(wording.grants)]
    for name, parts in (("charges", charges), ("grants", grants)):
        codes = [part.code for part, *_ in parts]
        faults += [
            FieldError(f"/{name}/{n}/code", "code_taken", f"The code {code} occurs twice.")
            for n, code in enumerate(codes)
            if code in codes[:n]
        ]
    if faults:
        raise Invalid(faults)
    version.burn_order = list(wording.burn_order)
    version.minimum_spend = wording.minimum_spend
    version.maximum_spend = wording.maximum_spend
    version.caps = {metric: f"{cap:f}" for metric, cap in wording.caps.items()}
    version.grace_hours = wording.grace_hours
    version.save()
    for charge, feeds in charges:
        charge.version = version
        charge.save()
        ChargeMetric.objects.bulk_create(
            ChargeMetric(charge=charge, metric=metric, weight=weight) for metric, weight in feeds
        )
    for grant, *_ in grants:
        grant.version = version
    GrantTemplate.objects.bulk_create(grant for grant, *_ in grants)
    return version


def _plan_faults(wording: Wording, metrics: Mapping[str, Metric]) -> list[FieldError]:
    faults = []
    order = list(wording.burn_order)
    if len(set(order)) != len(order):
        faults.append(FieldError("/burn_order", "repeated", "A kind occurs twice."))
    low, high = wording.minimum_spend, wording.maximum_spend
    if low is not None and high is not None and low > high:
        detail = "The minimum spend is above the maximum spend."
        faults.append(FieldError("/minimum_spend", "above_maximum", detail))
    faults += [
        FieldError(f"/caps/{code}", "unknown_metric", f"There is no metric {code}.")
        for code in wording.caps
        if code not in metrics
    ]
    return faults


def _read_charge(
    position: int,
    raw: Mapping[str, Any],
    metrics: Mapping[str, Metric],
    faults: list[FieldError],
) -> tuple[Charge, list[tuple[Metric, Decimal]]]:
    """Read one charge; what is wrong with it is added to `faults` under its pointer."""
    here = f"/charges/{position}"
    terms: dict[str, Any] = {}
    is_flat = False
    try:
        parsed = parse(raw["model"], raw["terms"])
        terms, is_flat = dict(to_json(parsed)), isinstance(parsed, FlatRate)
    except Invalid as error:
        faults += [FieldError(f"{here}/terms{e.pointer}", e.code, e.detail) for e in error.errors]
    feeds = []
    for pointer, code, weight in _feeds(here, raw):
        metric = metrics.get(code)
        if metric is None:
            faults.append(FieldError(pointer, "unknown_metric", f"There is no metric {code}."))
        else:
            feeds.append((metric, weight))
    if not raw.get("metric") and not raw.get("metrics") and not is_flat:
        detail = "Name the metric that feeds the charge."
        faults.append(FieldError(f"{here}/metric", "required", detail))
    charge = Charge(
        code=raw["code"],
        model=raw["model"],
        description=raw.get("description", ""),
        terms=terms,
        timing=raw.get("timing", Timing.ARREARS),
        position=position,
    )
    return charge, feeds


def _feeds(here: str, raw: Mapping[str, Any]) -> list[tuple[str, str, Decimal]]:
    if raw.get("metric"):
        return [(f"{here}/metric", raw["metric"], Decimal(1))]
    return [
        (f"{here}/metrics/{n}/metric", feed["metric"], feed.get("weight", Decimal(1)))
        for n, feed in enumerate(raw.get("metrics", ()))
    ]


def _read_grant(
    position: int,
    raw: Mapping[str, Any],
    metrics: Mapping[str, Metric],
    faults: list[FieldError],
) -> tuple[GrantTemplate]:
    """Read one grant; what is wrong with it is added to `faults` under its pointer."""
    here = f"/grants/{position}"
    metric = metrics.get(raw["metric"]) if raw.get("metric") else None
    if raw.get("metric") and metric is None:
        detail = f"There is no metric {raw['metric']}."
        faults.append(FieldError(f"{here}/metric", "unknown_metric", detail))
    if ("amount" in raw) == ("quantity" in raw) or ("quantity" in raw) != bool(raw.get("metric")):
        detail = "Give amount, or metric and quantity."
        faults.append(FieldError(f"{here}/amount", "required", detail))
    if raw.get("expires_after_days") is not None and raw.get("expires_at_cycle_end"):
        detail = "It expires after days or at the cycle's end, not both."
        faults.append(FieldError(f"{here}/expires_after_days", "two_expiries", detail))
    rollover = None
    if raw.get("rollover") is not None:
        try:
            rollover = dict(rollover_to_json(parse_rollover(raw["rollover"])))
        except Invalid as error:
            faults += [
                FieldError(f"{here}/rollover{e.pointer}", e.code, e.detail) for e in error.errors
            ]
    grant = GrantTemplate(
        code=raw.get("code") or f"grant_{position + 1}",
        kind=raw["kind"],
        metric=metric,
        quantity=raw.get("amount", raw.get("quantity")),
        recurrence=raw.get("recurrence", Recurrence.ONCE),
        expires_after_days=raw.get("expires_after_days"),
        expires_at_cycle_end=raw.get("expires_at_cycle_end", False),
        priority=raw.get("priority", 100),
        rollover=rollover,
        ssp_unit_price=raw.get("ssp_unit_price"),
        position=position,
    )
    return (grant,)
