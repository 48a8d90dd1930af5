"""Credit notes: documents that lower what an issued invoice bills."""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.db.models import F, Q

from aforo import payable
from aforo.ids import new_id
from aforo.money import ZERO
from billing.models.adjustments import SettlementAdjustment
from billing.models.customers import Customer
from billing.models.invoices import Invoice
from ledger.models import Entry


class CreditNote(models.Model):
    """What is taken back of an invoice: first of what is open (`credited`), then of what was paid,
    which the customer is owed (`returned`).

    Of its net, `unearned` are fees in advance that nobody will earn, `revoked` what the credits
    carried that are gone, and the rest lowers revenue. It is never changed once it has its number,
    which it gets last, so that none waits for the counter of all.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    livemode = models.BooleanField()
    number = models.CharField(max_length=40, null=True, blank=True)  # noqa: DJ001
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="credit_notes")
    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="credit_notes")
    adjustment = models.ForeignKey(
        SettlementAdjustment,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="credit_notes",
        help_text="The correction of a settled cycle that it is of.",
    )
    currency = models.CharField(max_length=3)
    amount = models.DecimalField(max_digits=38, decimal_places=12, help_text="With its tax.")
    tax = models.DecimalField(max_digits=38, decimal_places=12)
    unearned = models.DecimalField(max_digits=38, decimal_places=12, default=0)
    revoked = models.DecimalField(max_digits=38, decimal_places=12, default=0)
    credited = models.DecimalField(max_digits=38, decimal_places=12)
    returned = models.DecimalField(max_digits=38, decimal_places=12)
    lines = models.JSONField(help_text="[{description, amount, line?}], before tax")
    reason = models.CharField(max_length=300)
    created_at = models.DateTimeField()
    issued_at = models.DateTimeField(null=True, blank=True)
    entry = models.ForeignKey(Entry, on_delete=models.PROTECT, related_name="+")

    class Meta:
        indexes = [
            models.Index(
                fields=["customer"],
                condition=Q(number__isnull=True),
                name="billing_creditnote_unnumbered",
            )
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["livemode", "number"], name="billing_creditnote_number"
            ),
            models.CheckConstraint(
                condition=Q(
                    amount__gt=0,
                    amount=F("credited") + F("returned"),
                    credited__gte=0,
                    returned__gte=0,
                    tax__gte=0,
                    tax__lte=F("amount"),
                    unearned__gte=0,
                    revoked__gte=0,
                ),
                name="billing_creditnote_amounts",
            ),
            models.CheckConstraint(
                condition=payable.columns("amount", "credited", "returned"),
                name="billing_creditnote_payable",
            ),
            models.CheckConstraint(
                condition=Q(number=None, issued_at=None)
                | Q(number__isnull=False, issued_at__isnull=False),
                name="billing_creditnote_numbered",
            ),
        ]

    def __str__(self) -> str:
        return self.number or f"credit note {self.pk}"

    @property
    def earned(self) -> Decimal:
        """Return the part of its net that had been earned, and lowers revenue."""
        return max(self.amount - self.tax - self.unearned - self.revoked, ZERO)
