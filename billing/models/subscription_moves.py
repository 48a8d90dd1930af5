"""The moves of subscriptions, as rows that are only added."""

from __future__ import annotations

from django.db import models

from aforo import actors
from billing.models.customers import Subscription, SubscriptionStatus


class MoveKind(models.TextChoices):
    CREATED = "CREATED"
    ACTIVATED = "ACTIVATED"
    TRIAL_ENDED = "TRIAL_ENDED"
    SUSPENDED = "SUSPENDED"
    PAUSED = "PAUSED"
    RESUMED = "RESUMED"
    CANCELLED = "CANCELLED"
    CANCELLATION_SET = "CANCELLATION_SET"
    CANCELLATION_WITHDRAWN = "CANCELLATION_WITHDRAWN"
    PLAN_CHANGE_SET = "PLAN_CHANGE_SET"
    PLAN_CHANGE_WITHDRAWN = "PLAN_CHANGE_WITHDRAWN"
    PLAN_CHANGED = "PLAN_CHANGED"
    COUPON_ADDED = "COUPON_ADDED"
    COUPON_REMOVED = "COUPON_REMOVED"


class SubscriptionMove(models.Model):
    """A move of a subscription from one state to another, or a change of what is to come of it.

    Guarantees: rows are only added, by a trigger; the state after a move is that before the next
    one. What was done before version 0.2 has none.
    """

    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="moves")
    kind = models.CharField(max_length=30, choices=MoveKind.choices)
    from_status = models.CharField(
        max_length=10, choices=SubscriptionStatus.choices, blank=True, help_text="Empty: none yet."
    )
    to_status = models.CharField(max_length=10, choices=SubscriptionStatus.choices)
    facts = models.JSONField(default=dict, help_text="Strings only: what else the move changes.")
    reason = models.CharField(max_length=300, blank=True)
    occurred_at = models.DateTimeField(help_text="In the customer's time.")
    recorded_at = models.DateTimeField(auto_now_add=True)
    actor_kind = models.CharField(
        max_length=7, choices=actors.ACTOR_KINDS, default=actors.current_kind
    )
    actor_id = models.CharField(max_length=100, default=actors.current_id)

    def __str__(self) -> str:
        return f"{self.kind} {self.occurred_at:%Y-%m-%d}"
