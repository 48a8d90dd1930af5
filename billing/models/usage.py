"""Metered usage events, append-only, deduplicated for ever by (book, key)."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from aforo.ids import new_id
from ledger.models import Book
from pricing.models import Metric


class UsageEvent(models.Model):
    """One metered event.

    `counted_at` is the instant at which it counts toward a cycle: `occurred_at`, or for usage that
    arrived after its cycle was sealed, the first instant of the cycle open then. It is set once,
    under the book's lock, so each event belongs to exactly one cycle.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    book = models.ForeignKey(
        Book, on_delete=models.PROTECT, related_name="usage_events", db_index=False
    )
    metric = models.ForeignKey(
        Metric, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    key = models.CharField(max_length=255)
    quantity = models.DecimalField(max_digits=20, decimal_places=6)
    occurred_at = models.DateTimeField()
    counted_at = models.DateTimeField()
    received_at = models.DateTimeField()
    properties = models.JSONField(default=dict)

    class Meta:
        indexes = [
            models.Index(fields=["book", "metric", "counted_at"], name="billing_usage_cycle"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["book", "key"], name="billing_usage_key"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="billing_usage_quantity"),
            models.CheckConstraint(
                condition=Q(counted_at__gte=F("occurred_at")), name="billing_usage_counted"
            ),
        ]

    def __str__(self) -> str:
        return self.key

    @property
    def is_late(self) -> bool:
        """Tell whether it arrived after its cycle was sealed."""
        return self.counted_at > self.occurred_at
