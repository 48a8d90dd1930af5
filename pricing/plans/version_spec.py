"""What a version says: validated as a whole, every fault named, then written to a draft."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from aforo.errors import FieldError, Invalid
from aforo.protocol import pointers
from pricing import catalogue
from pricing.models import (
    Charge,
    ChargeMetric,
    ChargeTiming,
    CreditKind,
    GrantRecurrence,
    GrantTemplate,
    LateUsagePolicy,
    Metric,
    RatePlan,
    RatePlanVersion,
)
from pricing.terms import (
    Cap,
    caps_to_json,
    parse,
    parse_caps,
    parse_rollover,
    rollover_to_json,
    to_json,
)
from pricing.terms.fields import PRICE, Fault, read_decimal
from pricing.terms.shapes import FlatRate

CHARGES_MAX = 200
GRANTS_MAX = 100


@dataclass(frozen=True, slots=True)
class VersionSpec:
    """What a version of a rate plan says, as it was sent: charges, grants and caps are raw."""

    charges: Sequence[Mapping[str, Any]]
    grants: Sequence[Mapping[str, Any]] = ()
    burn_order: Sequence[str] = (CreditKind.PROMO, CreditKind.BONUS, CreditKind.CASH)
    minimum_spend: Decimal | None = None
    maximum_spend: Decimal | None = None
    caps: Mapping[str, Any] = field(default_factory=dict)
    grace_hours: int = 0
    draft_hours: int = 0
    lapse_grace_hours: int = 0
    late_usage: str = LateUsagePolicy.RERATE
    tax_class: str = ""
    tax_inclusive: bool = False


@dataclass(frozen=True, slots=True)
class Parts:
    """The charges with their feeds, the grants and the caps of a valid version."""

    charges: list[tuple[Charge, list[tuple[Metric, Decimal]]]]
    grants: list[GrantTemplate]
    caps: dict[str, Cap]


def read(plan: RatePlan, spec: VersionSpec) -> Parts:
    """Validate what a version says, as a whole.

    Raises: Invalid, naming every fault by its pointer into the request.
    """
    metrics = catalogue.known_metrics(livemode=plan.livemode, codes=_named(spec))
    faults = _plan_faults(spec)
    caps = _read_caps(spec, metrics, faults)
    charges = [
        _read_charge(f"/charges/{n}", n, raw, metrics, faults)
        for n, raw in enumerate(spec.charges[:CHARGES_MAX])
    ]
    grants = [
        _read_grant(f"/grants/{n}", n, raw, metrics, faults)
        for n, raw in enumerate(spec.grants[:GRANTS_MAX])
    ]
    faults += _repeated("charges", [charge.code for charge, _ in charges])
    faults += _repeated("grants", [grant.code for grant in grants])
    if faults:
        raise Invalid(faults)
    return Parts(charges, grants, caps)


def write(draft: RatePlanVersion, spec: VersionSpec) -> RatePlanVersion:
    """Write what a version says into a draft, whose row the caller's transaction has locked, in
    place of all it said.

    Raises: Invalid, naming every fault; nothing is changed.
    """
    parts = read(draft.plan, spec)
    draft.charges.all().delete()
    draft.grants.all().delete()
    draft.burn_order = list(spec.burn_order)
    draft.minimum_spend = spec.minimum_spend
    draft.maximum_spend = spec.maximum_spend
    draft.caps = caps_to_json(parts.caps)
    draft.grace_hours = spec.grace_hours
    draft.draft_hours = spec.draft_hours
    draft.lapse_grace_hours = spec.lapse_grace_hours
    draft.late_usage = spec.late_usage
    draft.tax_class = spec.tax_class.lower()
    draft.tax_inclusive = spec.tax_inclusive
    draft.save(
        update_fields=[
            "burn_order", "minimum_spend", "maximum_spend", "caps", "grace_hours",
            "draft_hours", "lapse_grace_hours", "late_usage", "tax_class",
            "tax_inclusive",
        ]
    )  # fmt: skip
    for charge, _ in parts.charges:
        charge.version = draft
    Charge.objects.bulk_create(charge for charge, _ in parts.charges)
    ChargeMetric.objects.bulk_create(
        ChargeMetric(charge=charge, metric=metric, weight=weight)
        for charge, feeds in parts.charges
        for metric, weight in feeds
    )
    for grant in parts.grants:
        grant.version = draft
    GrantTemplate.objects.bulk_create(parts.grants)
    return draft


def of(version: RatePlanVersion) -> VersionSpec:
    """Return what a version says, in the form in which it would be sent."""
    charges = version.charges.prefetch_related("feeds__metric").order_by("position", "pk")
    grants = version.grants.select_related("metric").order_by("position", "pk")
    return VersionSpec(
        charges=[_charge_words(charge) for charge in charges],
        grants=[_grant_words(grant) for grant in grants],
        burn_order=version.burn_order,
        minimum_spend=version.minimum_spend,
        maximum_spend=version.maximum_spend,
        caps=version.caps,
        grace_hours=version.grace_hours,
        draft_hours=version.draft_hours,
        lapse_grace_hours=version.lapse_grace_hours,
        late_usage=version.late_usage,
        tax_class=version.tax_class,
        tax_inclusive=version.tax_inclusive,
    )


def _named(spec: VersionSpec) -> set[str]:
    """Return every metric that a version names."""
    parts = [*spec.charges, *spec.grants]
    single = [str(part["metric"]) for part in parts if part.get("metric")]
    several = [feed["metric"] for charge in spec.charges for feed in charge.get("metrics", ())]
    return {*spec.caps, *single, *several}


def _charge_words(charge: Charge) -> dict[str, Any]:
    feeds = sorted(charge.feeds.all(), key=lambda feed: feed.pk)
    return {
        "code": charge.code,
        "model": charge.model,
        "description": charge.description,
        "metrics": [{"metric": feed.metric.code, "weight": feed.weight} for feed in feeds],
        "terms": charge.terms,
        "timing": charge.timing,
    }


def _grant_words(grant: GrantTemplate) -> dict[str, Any]:
    what: dict[str, Any] = (
        {"amount": grant.quantity}
        if grant.metric is None
        else {"metric": grant.metric.code, "quantity": grant.quantity}
    )
    return what | {
        "code": grant.code,
        "kind": grant.kind,
        "recurrence": grant.recurrence,
        "expires_after_days": grant.expires_after_days,
        "expires_at_cycle_end": grant.expires_at_cycle_end,
        "priority": grant.priority,
        "rollover": grant.rollover,
        "ssp_unit_price": grant.ssp_unit_price,
    }


def _plan_faults(spec: VersionSpec) -> list[FieldError]:
    faults = [
        FieldError(f"/{name}", "too_many", f"At most {most}.")
        for name, parts, most in (
            ("charges", spec.charges, CHARGES_MAX),
            ("grants", spec.grants, GRANTS_MAX),
        )
        if len(parts) > most
    ]
    order = list(spec.burn_order)
    if len(set(order)) != len(order):
        faults.append(FieldError("/burn_order", "repeated", "A kind occurs twice."))
    low, high = spec.minimum_spend, spec.maximum_spend
    if low is not None and high is not None and low > high:
        detail = "The minimum spend is above the maximum spend."
        faults.append(FieldError("/minimum_spend", "above_maximum", detail))
    return faults


def _read_caps(
    spec: VersionSpec, metrics: Mapping[str, Metric], faults: list[FieldError]
) -> dict[str, Cap]:
    """Read the caps; what is wrong with them is added to `faults` under its pointer."""
    try:
        caps = parse_caps(spec.caps)
    except Invalid as error:
        faults += [FieldError(f"/caps{e.pointer}", e.code, e.detail) for e in error.errors]
        return {}
    faults += [
        FieldError(
            f"/caps/{pointers.escape(code)}", "unknown_metric", f"There is no metric {code}."
        )
        for code in caps
        if code not in metrics
    ]
    return caps


def _repeated(name: str, codes: Sequence[str]) -> list[FieldError]:
    return [
        FieldError(f"/{name}/{n}/code", "code_taken", f"The code {code} occurs twice.")
        for n, code in enumerate(codes)
        if code in codes[:n]
    ]


def _read_charge(
    here: str,
    position: int,
    raw: Mapping[str, Any],
    metrics: Mapping[str, Metric],
    faults: list[FieldError],
) -> tuple[Charge, list[tuple[Metric, Decimal]]]:
    """Read one charge; what is wrong with it is added to `faults` under its pointer."""
    terms: dict[str, Any] = {}
    needs_feed = True
    try:
        parsed = parse(raw["model"], raw["terms"])
        terms, needs_feed = dict(to_json(parsed)), not isinstance(parsed, FlatRate)
    except Invalid as error:
        faults += [FieldError(f"{here}/terms{e.pointer}", e.code, e.detail) for e in error.errors]
    timing = raw.get("timing", ChargeTiming.ARREARS)
    if needs_feed and timing == ChargeTiming.ADVANCE:
        detail = "Only a flat fee can be charged in advance: usage is not known yet."
        faults.append(FieldError(f"{here}/timing", "not_in_advance", detail))
    charge = Charge(
        code=raw["code"],
        model=raw["model"],
        description=raw.get("description", ""),
        terms=terms,
        timing=timing,
        position=position,
    )
    return charge, _read_feeds(here, raw, metrics, faults, needed=needs_feed)


def _read_feeds(
    here: str,
    raw: Mapping[str, Any],
    metrics: Mapping[str, Metric],
    faults: list[FieldError],
    *,
    needed: bool,
) -> list[tuple[Metric, Decimal]]:
    """Read what feeds a charge: one metric, or several with weights, each once."""
    if raw.get("metric") and raw.get("metrics"):
        detail = "Name one metric, or several with their weights, not both."
        faults.append(FieldError(f"{here}/metrics", "not_combinable", detail))
    sent = _sent_feeds(here, raw)
    if needed and not sent:
        detail = "Name the metric that feeds the charge."
        faults.append(FieldError(f"{here}/metric", "required", detail))
    feeds: dict[str, tuple[Metric, Decimal]] = {}
    for pointer, code, weight in sent:
        metric = metrics.get(code)
        if metric is None:
            faults.append(FieldError(pointer, "unknown_metric", f"There is no metric {code}."))
        elif code in feeds:
            detail = f"The metric {code} feeds the charge already: add up the weights."
            faults.append(FieldError(pointer, "repeated", detail))
        else:
            _check_price(pointer.removesuffix("/metric") + "/weight", weight, faults)
            feeds[code] = (metric, weight)
    return list(feeds.values())


def _sent_feeds(here: str, raw: Mapping[str, Any]) -> list[tuple[str, str, Decimal]]:
    if raw.get("metric"):
        return [(f"{here}/metric", raw["metric"], Decimal(1))]
    return [
        (f"{here}/metrics/{n}/metric", feed["metric"], feed.get("weight", Decimal(1)))
        for n, feed in enumerate(raw.get("metrics", ()))
    ]


def _check_price(pointer: str, value: Decimal | None, faults: list[FieldError]) -> None:
    """Check that a column of unit prices can store a number."""
    if value is None:
        return
    try:
        read_decimal(value, PRICE)
    except Fault as fault:
        faults.append(FieldError(pointer, fault.code, f"It {fault.detail}."))


def _read_grant(
    here: str,
    position: int,
    raw: Mapping[str, Any],
    metrics: Mapping[str, Metric],
    faults: list[FieldError],
) -> GrantTemplate:
    """Read one grant; what is wrong with it is added to `faults` under its pointer."""
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
    _check_price(f"{here}/ssp_unit_price", raw.get("ssp_unit_price"), faults)
    return GrantTemplate(
        code=raw.get("code") or f"grant_{position + 1}",
        kind=raw["kind"],
        metric=metric,
        quantity=raw.get("amount", raw.get("quantity")),
        recurrence=raw.get("recurrence", GrantRecurrence.ONCE),
        expires_after_days=raw.get("expires_after_days"),
        expires_at_cycle_end=raw.get("expires_at_cycle_end", False),
        priority=raw.get("priority", 100),
        rollover=_read_rollover(f"{here}/rollover", raw.get("rollover"), faults),
        ssp_unit_price=raw.get("ssp_unit_price"),
        position=position,
    )


def _read_rollover(here: str, raw: object, faults: list[FieldError]) -> dict[str, Any] | None:
    if raw is None:
        return None
    try:
        return dict(rollover_to_json(parse_rollover(raw)))
    except Invalid as error:
        faults += [FieldError(f"{here}{e.pointer}", e.code, e.detail) for e in error.errors]
        return None
