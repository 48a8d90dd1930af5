"""Usage that is reserved before it happens, at the price of that moment."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from aforo.ids import new_id
from billing.models.customers import Subscription
from ledger.models import Book
from pricing.models import Metric
from wallets.models import Reservation, ReservationStatus


class UsageReservation(models.Model):
    """Credits held for so much usage of a metric; captured with the real quantity, whole or in
    parts.

    What it holds of units and of money are two reservations of the wallets, which time out by
    themselves.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    book = models.ForeignKey(Book, on_delete=models.PROTECT, related_name="usage_reservations")
    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="+")
    metric = models.ForeignKey(
        Metric, on_delete=models.PROTECT, db_constraint=False, related_name="+"
    )
    quantity = models.DecimalField(max_digits=20, decimal_places=6)
    captured = models.DecimalField(max_digits=20, decimal_places=6, default=0)
    properties = models.JSONField(default=dict)
    holds: models.ManyToManyField[Reservation, models.Model] = models.ManyToManyField(
        Reservation, related_name="usage"
    )
    status = models.CharField(
        max_length=8, choices=ReservationStatus.choices, default=ReservationStatus.HELD
    )
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(quantity__gt=0, captured__gte=0, expires_at__gt=F("created_at")),
                name="billing_usagereservation_sound",
            ),
            models.CheckConstraint(
                condition=Q(status="HELD", ended_at=None)
                | (~Q(status="HELD") & Q(ended_at__isnull=False)),
                name="billing_usagereservation_ended",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.status} {self.quantity.normalize():f}"
