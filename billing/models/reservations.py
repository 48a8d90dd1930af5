"""Usage that is reserved before it happens, at the price of that moment."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from billing.models.customers import Subscription
from pricing.models import Metric
from wallets.models import Reservation


class UsageReservation(models.Model):
    """The usage that a reservation of the wallets was made for: a quantity of a metric, captured
    with the real quantity, whole or in parts.

    It is one object with that reservation, under one id: the holds, the expiry and the end are
    there.
    """

    reservation = models.OneToOneField(
        Reservation, on_delete=models.PROTECT, primary_key=True, related_name="usage"
    )
    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="+")
    metric = models.ForeignKey(
        Metric, on_delete=models.PROTECT, db_constraint=False, related_name="+"
    )
    quantity = models.DecimalField(max_digits=20, decimal_places=6)
    captured = models.DecimalField(max_digits=20, decimal_places=6, default=0)
    properties = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(quantity__gt=0, captured__gte=0),
                name="billing_usagereservation_sound",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity.normalize():f}"
