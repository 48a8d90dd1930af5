"""Stub grants: what a change of plan in the middle of a period adds to the period's grants, in
proportion to the time that is left (docs/decisions.md#d37).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from aforo.money import ZERO
from billing.calculation import proration
from billing.calculation.proration import PeriodShare
from billing.models import Subscription
from billing.subscriptions import cycles, plan_credits, plan_terms
from ledger.models import Book
from pricing.models import GrantRecurrence, GrantTemplate

# Grants of one kind of money, or of one metric's units, count together.
Group = tuple[str, int | None]


@dataclass(frozen=True, slots=True)
class Added:
    """Credits that a change adds, on the terms of the new plan."""

    template: GrantTemplate
    quantity: Decimal
    expires_at: datetime | None


def added(moved: Subscription, *, left: Collection[int], remaining: PeriodShare) -> Iterator[Added]:
    """Return what the plan of a subscription that has `moved` grants every cycle beyond the largest
    quantity that the period was granted by the versions it has `left`.

    Moving back and forth therefore gains nothing. Once-only grants are for new subscriptions.
    """
    largest = _largest(left)
    for template in _templates([moved.version_id]):
        group = _group(template)
        before = min(largest.get(group, ZERO), template.quantity)
        largest[group] = largest.get(group, ZERO) - before
        quantity = proration.stub_grant(
            new=template.quantity,
            largest=before,
            remaining=remaining,
            places=plan_credits.grant_places(template, moved.version.plan.currency),
        )
        if quantity > 0:
            expires_at = plan_credits.expiry_of(template, moved, moved.current_starts_at)
            yield Added(template, quantity, expires_at)


def versions_left(subscription: Subscription) -> set[int]:
    """Return the versions on which a subscription has been before in its open period."""
    period = plan_credits.grant_period(subscription)
    return {change.from_version_id for change in plan_terms.dividing(subscription, period)}


def issue(*, book: Book, subscription: Subscription, at: datetime) -> None:
    """Issue what the change that began the open cycle adds. The book must be locked."""
    remaining = proration.share_of(cycles.open_part(subscription), cycles.full_period(subscription))
    found = added(subscription, left=versions_left(subscription), remaining=remaining)
    plan_credits.issue(
        book=book,
        subscription=subscription,
        granted=[(each.template, each.quantity) for each in found],
        at=at,
        part=subscription.cycle,
    )


def _largest(versions: Collection[int]) -> dict[Group, Decimal]:
    """Return the largest quantity that one of the versions grants a whole period, by group."""
    sums: dict[tuple[int, Group], Decimal] = {}
    for template in _templates(versions):
        key = (template.version_id, _group(template))
        sums[key] = sums.get(key, ZERO) + template.quantity
    largest: dict[Group, Decimal] = {}
    for (_, group), quantity in sums.items():
        largest[group] = max(largest.get(group, ZERO), quantity)
    return largest


def _templates(versions: Collection[int]) -> list[GrantTemplate]:
    found = GrantTemplate.objects.filter(
        version__in=versions, recurrence=GrantRecurrence.EVERY_CYCLE
    )
    return list(found.select_related("metric").order_by("version", "position", "pk"))


def _group(template: GrantTemplate) -> Group:
    return template.kind, template.metric_id
