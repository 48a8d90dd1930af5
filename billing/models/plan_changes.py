"""Changes of plan, as rows that are only added."""

from __future__ import annotations

from django.db import models

from aforo import actors
from billing.models.customers import Subscription
from pricing.models import Offering, RatePlanVersion


class PlanChange(models.Model):
    """A change of a subscription's plan: its cycles before `cycle` ran on the terms that it left.

    Guarantees: rows are only added, by a trigger; the terms after a change are those before the
    next one, and after the last one those of the subscription.
    """

    subscription = models.ForeignKey(
        Subscription, on_delete=models.PROTECT, related_name="changes_of_plan"
    )
    cycle = models.PositiveIntegerField(help_text="The first cycle on the new terms.")
    from_offering = models.ForeignKey(Offering, on_delete=models.PROTECT, related_name="+")
    from_version = models.ForeignKey(RatePlanVersion, on_delete=models.PROTECT, related_name="+")
    to_offering = models.ForeignKey(Offering, on_delete=models.PROTECT, related_name="+")
    to_version = models.ForeignKey(RatePlanVersion, on_delete=models.PROTECT, related_name="+")
    within_period = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="The number of the period that it divides, as grants have it; none at a renewal.",
    )
    occurred_at = models.DateTimeField(help_text="In the customer's time.")
    actor_kind = models.CharField(
        max_length=7, choices=actors.ACTOR_KINDS, default=actors.current_kind
    )
    actor_id = models.CharField(max_length=100, default=actors.current_id)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["subscription", "cycle"], name="billing_planchange_cycle"
            )
        ]

    def __str__(self) -> str:
        return f"{self.from_version} to {self.to_version}"
