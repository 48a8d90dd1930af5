"""What other currencies are worth in the company's own, day by day: facts with their source.

Guarantees, held by the database: one rate a currency and day, above zero, never changed or deleted.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class ExchangeRate(models.Model):
    """From its day on, until the next one, a unit of the currency is worth this much."""

    currency = models.CharField(max_length=3)
    day = models.DateField()
    rate = models.DecimalField(
        max_digits=38, decimal_places=12, help_text="Units of the company's currency for one."
    )
    source = models.CharField(max_length=200, help_text="Who published it.")
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["currency", "day"], name="ledger_exchangerate_once"),
            models.CheckConstraint(condition=Q(rate__gt=0), name="ledger_exchangerate_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.currency} {self.day.isoformat()}"
