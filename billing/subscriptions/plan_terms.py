"""The terms of a subscription's cycles: a change of plan comes with the next one, and those before
it keep theirs.
"""

from __future__ import annotations

import copy
from datetime import datetime

from billing.models import MoveKind, PlanChange, Subscription
from billing.subscriptions import moves
from ledger.models import Book
from pricing.models import GrantTemplate, Metric
from wallets.lots import provisioning


def of_cycle(subscription: Subscription, cycle: int) -> Subscription:
    """Return a subscription on the terms of one of its cycles; a copy, which must not be saved,
    where they have changed since.
    """
    if not subscription.plan_changes:
        return subscription
    later = PlanChange.objects.filter(subscription=subscription.pk, cycle__gt=cycle)
    left = later.select_related("from_offering", "from_version__plan").order_by("cycle").first()
    if left is None:
        return subscription
    past = copy.copy(subscription)
    past.offering, past.version = left.from_offering, left.from_version
    return past


def following(subscription: Subscription) -> Subscription:
    """Return a subscription on the terms of the cycle after the open one; a copy, which must not be
    saved, where its plan changes then.
    """
    if subscription.next_offering is None or subscription.next_version is None:
        return subscription
    changed = copy.copy(subscription)
    changed.offering, changed.version = subscription.next_offering, subscription.next_version
    return changed


def dividing(subscription: Subscription, period: int) -> list[PlanChange]:
    """Return the changes of plan that divide a period, the first one first."""
    if not subscription.plan_changes:
        return []
    return list(
        PlanChange.objects.filter(subscription=subscription, within_period=period).order_by("cycle")
    )


def take(
    *, book: Book, subscription: Subscription, at: datetime, within_period: int | None = None
) -> None:
    """Change a subscription to the terms of the cycle that is about to begin, if its plan changes
    with it; `within_period` is the period that this divides. The book must be locked.
    """
    if subscription.next_offering is None or subscription.next_version is None:
        return
    change = PlanChange.objects.create(
        subscription=subscription,
        cycle=subscription.cycle + 1,
        from_offering=subscription.offering,
        from_version=subscription.version,
        to_offering=subscription.next_offering,
        to_version=subscription.next_version,
        within_period=within_period,
        occurred_at=at,
    )
    subscription.offering, subscription.version = change.to_offering, change.to_version
    subscription.is_single = not change.to_offering.several_per_customer
    subscription.next_offering = subscription.next_version = None
    subscription.plan_changes += 1
    subscription.save(
        update_fields=[
            "offering", "version", "is_single", "next_offering", "next_version", "plan_changes",
        ]
    )  # fmt: skip
    provision_units(book=book, subscription=subscription)
    facts = {"from": str(change.from_version), "to": str(change.to_version)}
    moves.note(book=book, subscription=subscription, kind=MoveKind.PLAN_CHANGED, at=at, facts=facts)


def provision_units(*, book: Book, subscription: Subscription) -> None:
    """Create the unit wallets of a plan: one for each metric that it charges or grants."""
    version = subscription.version
    charged = Metric.objects.filter(charges__version=version)
    granted = Metric.objects.filter(
        pk__in=GrantTemplate.objects.filter(version=version, metric__isnull=False).values("metric")
    )
    for metric in (charged | granted).distinct().order_by("pk"):
        provisioning.unit_wallet(book=book, metric=metric)
