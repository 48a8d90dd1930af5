"""Payments as the bank says them, before and after they are matched to invoices.

Guarantees, held by the database: a payment of an account is taken once; what the bank said never
changes and is never deleted; its state ends once.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from aforo import actors, payable
from aforo.ids import new_id


class BankPaymentState(models.TextChoices):
    UNMATCHED = "UNMATCHED", "Unmatched"
    MATCHED = "MATCHED", "Matched"
    SENT_BACK = "SENT_BACK", "Sent back"


class BankPayment(models.Model):
    """Money that came to a bank account.

    MATCHED, its invoices' payments sum to it and are in the books; UNMATCHED nothing is posted
    until somebody assigns it or sends it back.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    livemode = models.BooleanField()
    account = models.CharField(max_length=50, help_text="The bank account that it came to.")
    bank_reference = models.CharField(
        max_length=200, help_text="The bank's own; where it has none, a hash of the line."
    )
    booked_on = models.DateField()
    currency = models.CharField(max_length=3)
    amount = models.DecimalField(max_digits=38, decimal_places=12)
    text = models.CharField(max_length=1000, blank=True, help_text="What the payer wrote.")
    payer = models.CharField(max_length=200, blank=True)
    customer_id = models.CharField(
        max_length=64, blank=True, help_text="The customer, where the line names one."
    )
    state = models.CharField(max_length=9, choices=BankPaymentState.choices)
    reason = models.CharField(
        max_length=300, blank=True, help_text="Why it is not matched, or was sent back."
    )
    actor_kind = models.CharField(
        max_length=7, choices=actors.ACTOR_KINDS, default=actors.current_kind
    )
    actor_id = models.CharField(max_length=100, default=actors.current_id)
    created_at = models.DateTimeField()
    decided_by_kind = models.CharField(max_length=7, choices=actors.ACTOR_KINDS, blank=True)
    decided_by_id = models.CharField(max_length=100, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["livemode", "account", "bank_reference"], name="billing_bankpayment_once"
            ),
            models.CheckConstraint(
                condition=Q(amount__gt=0) & payable.columns("amount"),
                name="billing_bankpayment_payable",
            ),
            models.CheckConstraint(
                condition=Q(state="UNMATCHED", decided_at=None)
                | Q(state__in=["MATCHED", "SENT_BACK"], decided_at__isnull=False),
                name="billing_bankpayment_decided",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount.normalize():f} {self.currency}, {self.bank_reference}"
