"""Corrections of settled cycles, after the fact."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from aforo.ids import new_id
from aforo.money import ZERO
from billing.models.settlements import Settlement
from ledger.models import Entry


class SettlementAdjustment(models.Model):
    """What a settled cycle was charged more, or (below zero) less, than its totals say.

    Who paid, or got back: an invoice (`receivable`), the customer's credit (2210), the arrears, or
    `wallet`, the money lots. The settlement and its documents stay as they were issued.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    settlement = models.ForeignKey(Settlement, on_delete=models.PROTECT, related_name="adjustments")
    lines = models.JSONField(help_text="[{description, amount, charge}], before tax")
    reason = models.CharField(max_length=300)
    by = models.CharField(max_length=200)
    net = models.DecimalField(max_digits=38, decimal_places=12)
    tax = models.DecimalField(max_digits=38, decimal_places=12, default=ZERO)
    receivable = models.DecimalField(max_digits=38, decimal_places=12, default=ZERO)
    customer_credit = models.DecimalField(max_digits=38, decimal_places=12, default=ZERO)
    arrears = models.DecimalField(max_digits=38, decimal_places=12, default=ZERO)
    wallet = models.DecimalField(max_digits=38, decimal_places=12, default=ZERO)
    created_at = models.DateTimeField()
    entry = models.OneToOneField(Entry, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    receivable=F("net")
                    + F("tax")
                    - F("customer_credit")
                    - F("arrears")
                    - F("wallet")
                ),
                name="billing_adjustment_sums",
            ),
            models.CheckConstraint(
                condition=Q(net__gt=0, tax__gte=0) | Q(net__lt=0, tax__lte=0),
                name="billing_adjustment_sign",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.net.normalize():f} {self.settlement.currency}"
