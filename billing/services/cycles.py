"""The bounds of a subscription's cycles: computed from the anchor and the cycle's number."""

from __future__ import annotations

from datetime import datetime, timedelta

from aforo import periods
from aforo.errors import FieldError, Invalid
from aforo.periods import Interval
from billing.models import Subscription, SubscriptionStatus
from billing.services.customers import zone_of


def set_first_period(subscription: Subscription, anchor_day: int | None) -> None:
    """Set anchor and first period; a trial is a period of its own, before the anchor."""
    start = subscription.starts_at
    offering = subscription.offering
    if offering.trial_days:
        subscription.status = SubscriptionStatus.TRIALING
        subscription.trial_ends_at = start + timedelta(days=offering.trial_days)
        start = subscription.trial_ends_at
    subscription.anchor_at = start
    if anchor_day is not None:
        _anchor_on_day(subscription, start, anchor_day)
    if subscription.trial_ends_at is not None:
        subscription.current_starts_at = subscription.starts_at
        subscription.current_ends_at = subscription.trial_ends_at
        return
    period = period_of(subscription, 0)
    subscription.current_starts_at = subscription.starts_at
    subscription.current_ends_at = period.ends_at


def _anchor_on_day(subscription: Subscription, start: datetime, anchor_day: int) -> None:
    """Anchor on a January with that day, so that 31 stays 31 in every month that has it."""
    if subscription.offering.interval != Interval.MONTH:
        detail = "Only offerings billed by the month have an anchor day."
        raise Invalid([FieldError("/anchor_day", "not_monthly", detail)])
    zone = zone_of(subscription.customer)
    local = start.astimezone(zone)
    anchor = datetime(local.year - 1, 1, anchor_day, tzinfo=zone)
    subscription.anchor_at = anchor.astimezone(start.tzinfo)
    index = 0
    while period_of(subscription, index).ends_at <= start:
        index += 1
    subscription.first_index = index


def period_of(subscription: Subscription, cycle: int) -> periods.Period:
    """Give the full period of a paid cycle number, from the anchor; the trial has none."""
    offering = subscription.offering
    paid = cycle - (1 if subscription.trial_ends_at is not None else 0)
    if subscription.trial_ends_at is None or paid >= 0:
        return periods.period(
            subscription.anchor_at,
            zone_of(subscription.customer),
            Interval(offering.interval),
            offering.interval_count,
            subscription.first_index + max(paid, 0),
        )
    assert subscription.trial_ends_at is not None, "only a trial comes before the anchor"
    return periods.Period(subscription.starts_at, subscription.trial_ends_at)


def open_next_cycle(subscription: Subscription) -> None:
    """Move a subscription to the period after its settled one. The book must be locked."""
    subscription.cycle += 1
    if subscription.status == SubscriptionStatus.TRIALING:
        subscription.status = SubscriptionStatus.ACTIVE
    subscription.current_starts_at = subscription.current_ends_at
    subscription.current_ends_at = period_of(subscription, subscription.cycle).ends_at
    subscription.save(
        update_fields=["cycle", "status", "current_starts_at", "current_ends_at", "is_fee_due"]
    )


def begin_at(*, subscription: Subscription, now: datetime) -> None:
    """Let a subscription that waited for credits start now; an anchor day is kept."""
    if subscription.anchor_at == subscription.starts_at:
        subscription.anchor_at = now
    subscription.starts_at = subscription.current_starts_at = now
    subscription.usage_closed_through = now
    while period_of(subscription, 0).ends_at <= now:
        subscription.first_index += 1
    subscription.current_ends_at = period_of(subscription, 0).ends_at
    subscription.save(
        update_fields=[
            "anchor_at", "starts_at", "current_starts_at", "usage_closed_through", "first_index",
            "current_ends_at",
        ]
    )  # fmt: skip


def pause_cycle(*, subscription: Subscription, at: datetime) -> None:
    """Follow a cycle that a pause cut short by one that waits in the same period."""
    subscription.cycle += 1
    subscription.first_index -= 1
    subscription.current_starts_at = at
    subscription.current_ends_at = period_of(subscription, subscription.cycle).ends_at
    subscription.status = SubscriptionStatus.PAUSED
    subscription.save(
        update_fields=["cycle", "first_index", "current_starts_at", "current_ends_at", "status"]
    )


def resume_cycle(*, subscription: Subscription, now: datetime) -> bool:
    """Let the waiting cycle run from now to its period's end; tell whether the period is another
    than the one that was paused. What was metered meanwhile belongs to no cycle.
    """
    before = subscription.first_index
    while period_of(subscription, subscription.cycle).ends_at <= now:
        subscription.first_index += 1
    subscription.current_starts_at = subscription.usage_closed_through = now
    subscription.current_ends_at = period_of(subscription, subscription.cycle).ends_at
    subscription.paused_at = None
    subscription.save(
        update_fields=[
            "first_index", "current_starts_at", "usage_closed_through", "current_ends_at",
            "paused_at",
        ]
    )  # fmt: skip
    return subscription.first_index != before
