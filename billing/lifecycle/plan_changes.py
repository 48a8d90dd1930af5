"""Changes of plan: to another offering or version; those with the next renewal. Nothing is prorated
then: the old cycle ends on its terms, and the next one begins on the new ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import transaction

from aforo.errors import Conflict, FieldError, Invalid
from aforo.sandbox.services import now_for
from billing.lifecycle import changes, subscribing
from billing.models import MoveKind, Subscription, SubscriptionStatus
from billing.subscriptions import moves, once_only, states
from pricing import catalogue
from pricing.models import Offering, OfferingStatus, RatePlanVersion, VersionStatus
from pricing.plans import plans

# What a change of plan keeps of an offering, and the code of what does not.
_KEPT: Final = {
    "interval": "interval_differs",
    "interval_count": "interval_count_differs",
    "billing_mode": "billing_mode_differs",
}


class CannotMove(Conflict):
    """The subscription cannot move to that plan.

    The message names the reason.
    """

    variants = {
        "subscription_cancelled": (
            "The subscription is cancelled.",
            "Create another one.",
        ),
        "cycle_not_settled": (
            "A cycle that is over waits to be settled.",
            "Repeat it in a minute, when the sweep has settled it.",
        ),
        "metric_dropped": (
            "The plan does not charge a metric that the subscription's cycles have.",
            "Choose one that does, or cancel and subscribe again.",
        ),
        "no_plan_change": (
            "No change of plan is ahead that could be withdrawn.",
            "There is nothing to do.",
        ),
        "already_there": (
            "The subscription has that offering and version already.",
            "There is nothing to do.",
        ),
    }
    default_code = "cannot_move"


@dataclass(frozen=True, slots=True)
class PlanTarget:
    """The offering and version that subscriptions would move to."""

    offering: Offering
    version: RatePlanVersion


def target_of(
    *,
    livemode: bool,
    offering: Offering,
    version: int | None = None,
    pointer: str = "/offering",
) -> PlanTarget:
    """Return the target of a move: a version of the offering's plan, else the one that is sold now.

    A draft version may be named, because nothing is moved.
    Raises: Invalid for an archived offering, UnknownRatePlan, NotPublished.
    """
    if offering.status == OfferingStatus.ARCHIVED:
        detail = f"The offering {offering.code} is archived and takes no subscription."
        raise Invalid([FieldError(pointer, "offering_not_active", detail)])
    if version is None:
        return PlanTarget(offering, catalogue.current_version(offering.plan))
    named = plans.get_version(livemode=livemode, code=offering.plan.code, number=version)
    return PlanTarget(offering, named)


def check(subscription: Subscription, target: PlanTarget, now: datetime) -> None:
    """Check that a subscription may move to a target.

    Raises: CannotMove, MetricAlreadySubscribed, AlreadySubscribed, Invalid for another currency.
    """
    version = subscription.version
    if subscription.status == SubscriptionStatus.CANCELLED:
        raise CannotMove("The subscription is cancelled.", code="subscription_cancelled")
    if now >= subscription.current_ends_at:
        ended = f"{subscription.current_ends_at:%Y-%m-%d %H:%M} UTC"
        raise CannotMove(
            f"The cycle that ended {ended} is not settled yet.", code="cycle_not_settled"
        )
    if (subscription.offering_id, version.pk) == (target.offering.pk, target.version.pk):
        raise CannotMove("The subscription is there already.", code="already_there")
    if version.plan.currency != target.version.plan.currency:
        detail = f"It is sold in {target.version.plan.currency}, not {version.plan.currency}."
        raise Invalid([FieldError("/offering", "currency_differs", detail)])
    book = subscription.customer.book
    subscribing.check_metrics_free(book, target.version.pk, leaving=subscription)
    once_only.check_offering_free(book, target.offering, leaving=subscription)


@transaction.atomic
def change_with_period(
    *, livemode: bool, subscription_id: UUID, target: PlanTarget, reason: str = ""
) -> Subscription:
    """Set what a subscription changes to at its next renewal, in place of what was set before.

    Raises: UnknownSubscription, CannotMove, MetricAlreadySubscribed, AlreadySubscribed; Invalid for
    another currency, mode of billing or interval.
    """
    found = changes.locked(livemode, subscription_id)
    book, now = found.customer.book, now_for(found.customer.book)
    check(found, target, now)
    check_change(found, target)
    found.next_offering, found.next_version = target.offering, target.version
    found.save(update_fields=["next_offering", "next_version"])
    facts = {
        "from": str(found.version),
        "to": str(target.version),
        "to_offering": target.offering.code,
    }
    with moves.because(reason):
        moves.note(
            book=book, subscription=found, kind=MoveKind.PLAN_CHANGE_SET, at=now, facts=facts
        )
    return subscribing.get_subscription(livemode=livemode, subscription_id=subscription_id)


def check_change(found: Subscription, target: PlanTarget) -> None:
    """Check what a change asks beyond a preview.

    Raises: CannotMove, NotPublished, OfferingNotSold; Invalid for another mode or interval.
    """
    if found.status not in states.MAY_CHANGE_PLAN or found.cancel_at is not None:
        is_ending = found.cancel_at is not None
        state = "to be cancelled" if is_ending else found.status.lower()
        raise CannotMove(f"The subscription is {state}.")
    if target.version.status != VersionStatus.PUBLISHED:
        raise catalogue.NotPublished(f"{target.version} is not published.")
    if target.offering.status != OfferingStatus.ACTIVE:
        detail = f"The offering {target.offering.code} is {target.offering.status.lower()}."
        raise subscribing.OfferingNotSold(detail)
    faults = [
        FieldError("/offering", code, f"It has another {name.replace('_', ' ')}.")
        for name, code in _KEPT.items()
        if getattr(target.offering, name) != getattr(found.offering, name)
    ]
    if faults:
        raise Invalid(faults)
    kept = {metric.pk for metric in catalogue.metrics_of(target.version)}
    for metric in catalogue.metrics_of(found.version):
        if metric.pk not in kept:
            # Its late usage would have no plan that bills it.
            raise CannotMove(f"The plan does not charge {metric.code}.", code="metric_dropped")


@transaction.atomic
def withdraw(*, livemode: bool, subscription_id: UUID, reason: str = "") -> Subscription:
    """Withdraw a change of plan that is ahead.

    Raises: UnknownSubscription; CannotMove (`no_plan_change`).
    """
    found = changes.locked(livemode, subscription_id)
    if found.next_version_id is None or found.status == SubscriptionStatus.CANCELLED:
        raise CannotMove("No change of plan is ahead.", code="no_plan_change")
    found.next_offering = found.next_version = None
    found.save(update_fields=["next_offering", "next_version"])
    book, now = found.customer.book, now_for(found.customer.book)
    with moves.because(reason):
        moves.note(book=book, subscription=found, kind=MoveKind.PLAN_CHANGE_WITHDRAWN, at=now)
    return subscribing.get_subscription(livemode=livemode, subscription_id=subscription_id)
