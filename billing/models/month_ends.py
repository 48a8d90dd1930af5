"""What cycles had earned at the ends of months and not billed."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from billing.models.customers import Subscription


class MonthEnd(models.Model):
    """A month's end to which a cycle was brought up (docs/decisions.md#d45).

    `usage` and `fees` are what its entries accrued there, net of tax: usage that no credit covers,
    late usage of settled cycles included, and fees in arrears. The same entries take it back on
    the 1st. Repeated for what was received since `reached_at`, it posts the difference.
    """

    # The unique key begins with the subscription, so its foreign key needs no index of its own.
    subscription = models.ForeignKey(
        Subscription, on_delete=models.PROTECT, related_name="month_ends", db_index=False
    )
    cycle = models.PositiveIntegerField()
    ends_at = models.DateTimeField(help_text="The end of the month, in the entity's zone.")
    usage = models.DecimalField(max_digits=38, decimal_places=12, default=0)
    fees = models.DecimalField(max_digits=38, decimal_places=12, default=0)
    reached_at = models.DateTimeField(help_text="The customer's time when it was last reached.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["subscription", "cycle", "ends_at"], name="billing_monthend_once"
            ),
            models.CheckConstraint(
                condition=Q(usage__gte=0, fees__gte=0), name="billing_monthend_amounts"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.ends_at:%Y-%m-%d} #{self.cycle}"
