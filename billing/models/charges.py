"""Invoices charged through the payment gateway."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from aforo import payable
from aforo.ids import new_id
from billing.models.invoices import Invoice, InvoicePayment


class ChargeStatus(models.TextChoices):
    PENDING = "PENDING"
    SUCCEEDED = "SUCCEEDED"
    DECLINED = "DECLINED"


class InvoiceCharge(models.Model):
    """An attempt to charge what is open of an invoice to the customer's payment method.

    Guarantees: it is committed before the gateway is asked, with its id as the gateway's key, and
    concluded once; an invoice has at most one that is PENDING.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    invoice = models.ForeignKey(
        Invoice, on_delete=models.PROTECT, related_name="charges", db_index=False
    )
    attempt = models.PositiveSmallIntegerField(help_text="1 as it is issued, then with reminders.")
    amount = models.DecimalField(max_digits=38, decimal_places=12)
    currency = models.CharField(max_length=3)
    method = models.CharField(max_length=50)
    status = models.CharField(
        max_length=9, choices=ChargeStatus.choices, default=ChargeStatus.PENDING
    )
    asked = models.PositiveSmallIntegerField(
        default=0, help_text="How often the gateway had no answer."
    )
    ask_again_at = models.DateTimeField(null=True, blank=True)
    payment = models.OneToOneField(
        InvoicePayment, on_delete=models.PROTECT, null=True, blank=True, related_name="charge"
    )
    created_at = models.DateTimeField(help_text="In the customer's time.")
    concluded_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["invoice", "attempt"], name="billing_invoicecharge_attempt"
            ),
            models.UniqueConstraint(
                fields=["invoice"],
                condition=Q(status="PENDING"),
                name="billing_invoicecharge_one_pending",
            ),
            models.CheckConstraint(condition=Q(amount__gt=0), name="billing_invoicecharge_amount"),
            models.CheckConstraint(
                condition=payable.columns("amount"), name="billing_invoicecharge_payable"
            ),
            models.CheckConstraint(
                condition=Q(status="PENDING", concluded_at=None, payment=None)
                | Q(status="SUCCEEDED", concluded_at__isnull=False, payment__isnull=False)
                | Q(status="DECLINED", concluded_at__isnull=False, payment=None),
                name="billing_invoicecharge_concluded",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.invoice} attempt {self.attempt}"
