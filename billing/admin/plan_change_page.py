"""The page on which a subscription's plan is changed: it shows what that does before it does it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.utils.safestring import SafeString

from aforo.adminui.pages import table
from billing.lifecycle import changes, mid_period, plan_changes, subscribing
from billing.lifecycle.plan_changes import PlanTarget
from billing.models import Subscription
from billing.simulation import plan_change, plan_change_rehearsal
from pricing import catalogue


def carry_out(
    *,
    livemode: bool,
    subscription_id: UUID,
    offering: str,
    version: int | None,
    at: str,
    reason: str,
) -> Subscription:
    """Change the plan, now or with the next renewal."""
    found = subscribing.get_subscription(livemode=livemode, subscription_id=subscription_id)
    is_now = at == changes.When.NOW
    act = mid_period.change_plan if is_now else plan_changes.change_with_period
    return act(
        livemode=livemode,
        subscription_id=subscription_id,
        target=_target(found, offering, version),
        reason=reason,
    )


def preview(row: Subscription, asked: Mapping[str, Any]) -> SafeString:
    """Return what the change would do, as a table.

    Raises: whatever refuses the change.
    """
    livemode = row.customer.book.livemode
    found = subscribing.get_subscription(livemode=livemode, subscription_id=row.pk)
    target = _target(found, asked["offering"], asked["version"])
    move = plan_change.preview_move(subscription=found, target=target)
    rows = [["Plan", f"{found.version} to {target.version}"]]
    if asked["at"] == changes.When.NOW:
        rows += _due_now(found, target)
        rows += [
            [f"Added: {each.template.code}", f"{each.quantity.normalize():f}"]
            for each in move.added
        ]
    else:
        rows.append(["Changes on", f"{found.current_ends_at:%Y-%m-%d %H:%M} UTC"])
    return table(["What", "It does"], rows)


def _target(found: Subscription, offering: str, version: int | None) -> PlanTarget:
    livemode = found.customer.book.livemode
    sold = catalogue.find_offering(livemode=livemode, code=offering) if offering else found.offering
    return plan_changes.target_of(livemode=livemode, offering=sold, version=version)


def _due_now(found: Subscription, target: PlanTarget) -> list[list[str]]:
    """Return what a change now would settle, give back and bill, or why it is refused."""
    due: Mapping[str, Any] = plan_change_rehearsal.due_now(subscription=found, target=target)
    if due["refused"]:
        return [["Refused", due["refused"]["detail"]]]
    opening = due["opening"]
    return [
        ["The old plan so far", str(due["closing"]["total"])],
        ["Of its fee given back, by the next invoice", due["given_back"]["owed"]],
        ["Of its fee given back, to credits", due["given_back"]["credits"]],
        ["The new fees, less that", "none ahead" if opening is None else str(opening["total"])],
    ]
