"""The presentation of a previewed change of plan: whole, or in short as one row of many."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aforo import money
from aforo.errors import DomainError
from aforo.money import ZERO
from billing.calculation import presentation, proration
from billing.calculation.calculation import Calculation
from billing.calculation.proration import PeriodShare
from billing.lifecycle.plan_changes import PlanTarget
from billing.models import Subscription
from billing.settlement import load
from billing.simulation.plan_change import Move, preview_move
from billing.subscriptions.stub_grants import Added
from pricing import catalogue
from pricing.models import Offering, RatePlanVersion
from pricing.plans import version_diff
from pricing.terms import to_json
from wallets.lots import queries
from wallets.models import CreditLot


def describe(move: Move) -> dict[str, object]:
    """Return a move in full: both sides, the credits, and the differences of the plans."""
    before, after = move.subscription.version, move.target.version
    return {
        "subscription": move.subscription.pk,
        "customer_id": move.subscription.customer.book.key,
        "at": move.at,
        "from": _terms_of(move.subscription.offering, before),
        "to": _terms_of(move.target.offering, after),
        "closing": {**_side(move.closing), "stages": presentation.stages(move.closing)},
        "opening": {
            **_side(move.opening),
            "minimum_spend": move.opening.minimum_spend,
            "maximum_spend": move.opening.maximum_spend,
            "charges": _charges(move.opening, after),
        },
        "credits": {
            "carried": [_carried(lot, move) for lot in move.carried],
            "added": [_describe_added(added, move) for added in move.added],
        },
        "changes": changes(before, after),
    }


def changes(before: RatePlanVersion, after: RatePlanVersion) -> list[dict[str, str | None]]:
    """Return the differences of two versions."""
    return [
        {"field": change.field, "before": change.before, "after": change.after}
        for change in version_diff.diff(before, after)
    ]


def changes_for(moving: Iterable[Subscription], target: PlanTarget) -> list[dict[str, object]]:
    """Return the changes for subscriptions of each version, the oldest version first."""
    versions = {each.version_id: each.version for each in moving}
    return [
        {
            "from": {"code": version.plan.code, "version": version.number},
            "changes": changes(version, target.version),
        }
        for _, version in sorted(versions.items())
    ]


def _terms_of(offering: Offering, version: RatePlanVersion) -> dict[str, object]:
    return {
        "offering": offering.code,
        "rate_plan": {"code": version.plan.code, "version": version.number},
        "billing_mode": offering.billing_mode,
        "interval": offering.interval,
        "interval_count": offering.interval_count,
    }


def _side(draft: Calculation) -> dict[str, object]:
    return {
        "period": {"starts_at": draft.period.starts_at, "ends_at": draft.period.ends_at},
        "share": money.divide(draft.served, draft.of_full),
        "totals": presentation.totals(draft),
    }


def _charges(opening: Calculation, version: RatePlanVersion) -> list[dict[str, object]]:
    """Return the terms of the rest of the period, with their included quantity."""
    share = PeriodShare(opening.served, opening.of_full)
    whole = load.charge_terms(catalogue.charges_of(version))
    return [
        {
            "code": charge.code,
            "model": charge.model,
            "timing": charge.timing,
            "terms": to_json(proration.terms(charge.terms, share)),
        }
        for charge in whole
    ]


def _carried(lot: CreditLot, move: Move) -> dict[str, object]:
    after = lot.remaining - move.spent.get(lot.pk, ZERO)
    return {**queries.describe_lot(lot), "after_closing": after}


def _describe_added(added: Added, move: Move) -> dict[str, object]:
    metric = added.template.metric
    currency = move.target.version.plan.currency
    return {
        "code": added.template.code,
        "kind": added.template.kind,
        **({"currency": currency} if metric is None else {"metric": metric.code}),
        "quantity": added.quantity,
        "expires_at": added.expires_at,
    }


def row(subscription: Subscription, target: PlanTarget) -> Mapping[str, object]:
    """Return one row of many: the figures in short, or why the subscription cannot move."""
    named: dict[str, object] = {
        "subscription": subscription.pk,
        "customer_id": subscription.customer.book.key,
        "from": _terms_of(subscription.offering, subscription.version)["rate_plan"],
    }
    try:
        move = preview_move(subscription=subscription, target=target)
    except DomainError as refusal:
        return {**named, "refused": {"code": refusal.code, "detail": refusal.detail}}
    return {
        **named,
        "at": move.at,
        "closing": presentation.totals(move.closing),
        "opening": presentation.totals(move.opening),
        "added": [_describe_added(added, move) for added in move.added],
        "carried": len(move.carried),
        "refused": None,
    }
