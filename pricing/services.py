"""Configure the catalogue: metrics, rate plans and their versions, offerings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import IntegrityError, transaction

from aforo.errors import Conflict, FieldError, Invalid, NotFound
from pricing import reads
from pricing.models import (
    Aggregation,
    Charge,
    ChargeMetric,
    GrantTemplate,
    Kind,
    Metric,
    Offering,
    OfferingStatus,
    RatePlan,
    RatePlanVersion,
    Recurrence,
    Timing,
    VersionStatus,
)
from pricing.reads import NotPublished, PricedCharge, charges_of, current_version, find_offering
from pricing.terms import parse, parse_rollover, rollover_to_json, to_json
from pricing.terms.shapes import FlatRate

__all__ = [
    "NotPublished",
    "PricedCharge",
    "charges_of",
    "current_version",
    "find_offering",
]

OPERATORS = ("eq", "ne", "gt", "gte", "lt", "lte", "in", "not_in", "contains", "exists")


class CodeTaken(Conflict):
    default_code = "code_taken"


class UnknownRatePlan(NotFound):
    default_code = "unknown_rate_plan"


class UnknownOffering(NotFound):
    default_code = "unknown_offering"


class UnknownMetric(NotFound):
    default_code = "unknown_metric"


class MetricInUse(Conflict):
    default_code = "metric_in_use"


class NoDraft(Conflict):
    default_code = "no_draft"


class DraftExists(Conflict):
    default_code = "draft_exists"


def create_metric(
    *,
    livemode: bool,
    code: str,
    name: str,
    aggregation: str,
    property: str = "",  # noqa: A002
    filters: Sequence[Mapping[str, Any]] = (),
) -> Metric:
    """Define what is measured. COUNT counts events, SUM without a property sums quantities.

    Raises: CodeTaken; Invalid when an aggregation needs a property.
    """
    if aggregation == Aggregation.UNIQUE and not property:
        detail = "UNIQUE counts the distinct values of a property: name it."
        raise Invalid([FieldError("/property", "required", detail)])
    try:
        with transaction.atomic():
            return Metric.objects.create(
                livemode=livemode,
                code=code,
                name=name,
                aggregation=aggregation,
                property=property,
                filters=[dict(rule) for rule in filters],
            )
    except IntegrityError as error:
        raise CodeTaken(f"There is a metric {code} already.") from error


def get_metric(*, livemode: bool, code: str) -> Metric:
    """Find a metric.

    Raises: UnknownMetric.
    """
    metric = Metric.objects.filter(livemode=livemode, code=code).first()
    if metric is None:
        raise UnknownMetric(f"There is no metric {code}.")
    return metric


@transaction.atomic
def update_metric(*, livemode: bool, code: str, changes: Mapping[str, Any]) -> Metric:
    """Change a metric; once a charge uses it only its name may change.

    Raises: UnknownMetric, MetricInUse.
    """
    metric = get_metric(livemode=livemode, code=code)
    changed = [name for name, value in changes.items() if getattr(metric, name) != value]
    if set(changed) - {"name"} and metric.charges.exists():
        raise MetricInUse(f"The metric {code} is priced: only its name can change.")
    for name in changed:
        setattr(metric, name, changes[name])
    if changed:
        metric.save(update_fields=changed)
    return metric


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


@transaction.atomic
def create_rate_plan(
    *, livemode: bool, code: str, name: str, currency: str, wording: Wording
) -> RatePlanVersion:
    """Create a plan with its first draft.

    Raises: CodeTaken; Invalid with a pointer for every fault of the wording.
    """
    try:
        with transaction.atomic():
            plan = RatePlan.objects.create(
                livemode=livemode, code=code, name=name, currency=currency
            )
    except IntegrityError as error:
        raise CodeTaken(f"There is a rate plan {code} already.") from error
    return _write(plan, RatePlanVersion(plan=plan, number=1), wording)


def get_rate_plan(*, livemode: bool, code: str) -> RatePlan:
    """Find a rate plan.

    Raises: UnknownRatePlan.
    """
    plan = RatePlan.objects.filter(livemode=livemode, code=code).first()
    if plan is None:
        raise UnknownRatePlan(f"There is no rate plan {code}.")
    return plan


def get_version(*, livemode: bool, code: str, number: int) -> RatePlanVersion:
    """Find a version of a plan.

    Raises: UnknownRatePlan.
    """
    found = RatePlanVersion.objects.filter(plan__livemode=livemode, plan__code=code, number=number)
    version = found.select_related("plan").first()
    if version is None:
        raise UnknownRatePlan(f"There is no version {number} of a rate plan {code}.")
    return version


@transaction.atomic
def create_version(*, livemode: bool, code: str, wording: Wording) -> RatePlanVersion:
    """Begin the next draft of a plan.

    Raises: UnknownRatePlan, DraftExists, Invalid.
    """
    plan = get_rate_plan(livemode=livemode, code=code)
    latest = plan.versions.order_by("-number").first()
    if latest is not None and latest.status == VersionStatus.DRAFT:
        raise DraftExists(f"Version {latest.number} of {code} is a draft: change that one.")
    number = 1 if latest is None else latest.number + 1
    return _write(plan, RatePlanVersion(plan=plan, number=number), wording)


@transaction.atomic
def begin_draft(*, plan: RatePlan) -> RatePlanVersion:
    """Begin the next draft as a copy of the latest version, or as an empty one.

    Raises: DraftExists.
    """
    latest = plan.versions.order_by("-number").first()
    if latest is None:
        return RatePlanVersion.objects.create(plan=plan, number=1)
    if latest.status == VersionStatus.DRAFT:
        raise DraftExists(f"Version {latest.number} of {plan.code} is a draft already.")
    draft = RatePlanVersion.objects.get(pk=latest.pk)
    draft.pk, draft.number = None, latest.number + 1
    draft.status, draft.published_at = VersionStatus.DRAFT, None
    draft.save(force_insert=True)
    for charge in latest.charges.prefetch_related("feeds").order_by("position", "pk"):
        feeds = list(charge.feeds.all())
        charge.pk, charge.version = None, draft
        charge.save(force_insert=True)
        ChargeMetric.objects.bulk_create(
            ChargeMetric(charge=charge, metric_id=feed.metric_id, weight=feed.weight)
            for feed in feeds
        )
    for grant in latest.grants.order_by("position", "pk"):
        grant.pk, grant.version = None, draft
        grant.save(force_insert=True)
    return draft


@transaction.atomic
def update_draft(*, livemode: bool, code: str, wording: Wording) -> RatePlanVersion:
    """Replace what the draft of a plan says.

    Raises: UnknownRatePlan, NoDraft, Invalid.
    """
    draft = _draft_of(livemode=livemode, code=code)
    draft.charges.all().delete()
    draft.grants.all().delete()
    return _write(draft.plan, draft, wording)


def _draft_of(*, livemode: bool, code: str) -> RatePlanVersion:
    plan = get_rate_plan(livemode=livemode, code=code)
    draft = plan.versions.filter(status=VersionStatus.DRAFT).select_related("plan").first()
    if draft is None:
        raise NoDraft(f"The rate plan {code} has no draft.")
    return draft


@transaction.atomic
def publish(*, livemode: bool, code: str, now: datetime) -> RatePlanVersion:
    """Freeze the draft for ever; new subscriptions take it from now on.

    Raises: UnknownRatePlan, NoDraft; Invalid when it has neither charges nor grants.
    """
    draft = _draft_of(livemode=livemode, code=code)
    if not draft.charges.exists() and not draft.grants.exists():
        raise Invalid([FieldError("/charges", "empty", "The plan has no charge and no grant.")])
    draft.status = VersionStatus.PUBLISHED
    draft.published_at = now
    draft.save(update_fields=["status", "published_at"])
    return draft


def create_offering(
    *,
    livemode: bool,
    code: str,
    name: str,
    rate_plan: str,
    billing_mode: str,
    interval: str,
    interval_count: int = 1,
    trial_days: int = 0,
    overage_limit: Decimal | None = None,
    status: str = OfferingStatus.ACTIVE,
) -> Offering:
    """Sell a plan in a billing mode, at an interval.

    Raises: CodeTaken; Invalid (`unknown_rate_plan`); NotPublished for an active one.
    """
    plan = RatePlan.objects.filter(livemode=livemode, code=rate_plan).first()
    if plan is None:
        detail = f"There is no rate plan {rate_plan}."
        raise Invalid([FieldError("/rate_plan", "unknown_rate_plan", detail)])
    if status == OfferingStatus.ACTIVE:
        current_version(plan)
    try:
        with transaction.atomic():
            return Offering.objects.create(
                livemode=livemode,
                code=code,
                name=name,
                plan=plan,
                billing_mode=billing_mode,
                interval=interval,
                interval_count=interval_count,
                trial_days=trial_days,
                overage_limit=overage_limit,
                status=status,
            )
    except IntegrityError as error:
        raise CodeTaken(f"There is an offering {code} already.") from error


def get_offering(*, livemode: bool, code: str) -> Offering:
    """Find an offering.

    Raises: UnknownOffering.
    """
    offering = Offering.objects.filter(livemode=livemode, code=code).select_related("plan").first()
    if offering is None:
        raise UnknownOffering(f"There is no offering {code}.")
    return offering


@transaction.atomic
def update_offering(*, livemode: bool, code: str, changes: Mapping[str, Any]) -> Offering:
    """Rename an offering, or move it between DRAFT, ACTIVE and ARCHIVED.

    An archived one takes no new subscription and keeps its old ones.
    Raises: UnknownOffering, NotPublished.
    """
    offering = get_offering(livemode=livemode, code=code)
    if changes.get("status") == OfferingStatus.ACTIVE:
        current_version(offering.plan)
    for name, value in changes.items():
        setattr(offering, name, value)
    if changes:
        offering.save(update_fields=list(changes))
    return offering


def _write(plan: RatePlan, version: RatePlanVersion, wording: Wording) -> RatePlanVersion:
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
