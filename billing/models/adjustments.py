"""Corrections of settled cycles, after the fact."""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.db.models import F, Q

from aforo.ids import new_id
from aforo.money import ZERO
from billing.models.settlements import Settlement
from ledger.models import Entry


class SettlementAdjustment(models.Model):
    """The correction of a settled cycle: charged more, or (below zero) less, than its totals.

    The payers, or receivers: an invoice (`receivable`), the customer's credit (2210), the arrears,
    or `wallet`, the money lots. The settlement and its documents stay as they were issued.
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


class LateCredit(models.Model):
    """The net amount by which late usage made a settled and invoiced cycle cheaper.

    Owed to the customer from the moment it is found: later documents use it, each as far as it
    reaches, and what is left when the subscription ends is paid out by credit note. Its tax is
    returned with either, at the cycle's own rate.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    settlement = models.ForeignKey(
        Settlement, on_delete=models.PROTECT, related_name="late_credits"
    )
    description = models.CharField(max_length=300)
    amount = models.DecimalField(max_digits=38, decimal_places=12)
    used = models.DecimalField(max_digits=38, decimal_places=12, default=ZERO)
    paid_out = models.DecimalField(max_digits=38, decimal_places=12, default=ZERO)
    tax_rate = models.JSONField(null=True, help_text="{name, percent, jurisdiction}")
    created_at = models.DateTimeField()
    entry = models.OneToOneField(Entry, on_delete=models.PROTECT, related_name="+")

    class Meta:
        indexes = [
            models.Index(
                fields=["settlement"],
                condition=Q(amount__gt=F("used") + F("paid_out")),
                name="billing_latecredit_open",
            )
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    amount__gt=0,
                    used__gte=0,
                    paid_out__gte=0,
                    amount__gte=F("used") + F("paid_out"),
                ),
                name="billing_latecredit_amounts",
            )
        ]

    def __str__(self) -> str:
        return f"{self.amount.normalize():f} {self.settlement.currency}"

    @property
    def open(self) -> Decimal:
        """Return the part that no document has used yet."""
        return self.amount - self.used - self.paid_out
