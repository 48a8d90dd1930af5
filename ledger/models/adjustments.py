"""Corrections of the books by hand: proposed by one person, posted when another approves.

Guarantees, held by the database: maker and approver differ, evidence is given, lines never change
once proposed and none is added once decided, and only an approved one has an entry.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from aforo.ids import new_id
from ledger.models.books import Account, Book, Entry
from ledger.models.policies import FourEyes


class Reason(models.TextChoices):
    """Why the books are corrected; `manual_pairs` says which accounts each may move."""

    BILLING_ERROR = "BILLING_ERROR", "Billing error"
    ACCRUAL = "ACCRUAL", "Accrual at a month's end, taken back on the next day"
    PROCESSOR = "PROCESSOR", "Processor fee or payout"
    REMITTANCE = "REMITTANCE", "Tax, refund or unclaimed property remitted"
    CREDIT_LOSS = "CREDIT_LOSS", "Expected credit loss"
    EXCHANGE = "EXCHANGE", "Exchange difference"
    MIGRATION = "MIGRATION", "Opening balance of a replaced system"
    UNEXPLAINED = "UNEXPLAINED", "Unexplained difference"


class ManualAdjustment(FourEyes):
    """A correction: `occurred_at` is when it takes effect; without a book it is the company's."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    livemode = models.BooleanField(default=True)
    book = models.ForeignKey(
        Book, on_delete=models.PROTECT, null=True, blank=True, related_name="adjustments"
    )
    reason = models.CharField(max_length=13, choices=Reason.choices)
    occurred_at = models.DateTimeField()
    rejected_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    rejected_at = models.DateTimeField(null=True, blank=True)
    entry = models.OneToOneField(
        Entry, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta(FourEyes.Meta):
        constraints = [
            *FourEyes.Meta.constraints,
            models.CheckConstraint(
                condition=Q(approved_by=None, entry=None)
                | Q(approved_by__isnull=False, entry__isnull=False, rejected_by=None),
                name="ledger_manualadjustment_posted",
            ),
            models.CheckConstraint(
                condition=Q(rejected_by=None, rejected_at=None)
                | Q(rejected_by__isnull=False, rejected_at__isnull=False),
                name="ledger_manualadjustment_rejected",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_reason_display()} {self.occurred_at:%Y-%m-%d}"

    @property
    def status(self) -> str:
        """Return how far it has come."""
        if self.rejected_at is not None:
            return "REJECTED"
        return "POSTED" if self.is_approved else "PROPOSED"


class AdjustmentLine(models.Model):
    """An amount that the correction moves."""

    adjustment = models.ForeignKey(ManualAdjustment, on_delete=models.PROTECT, related_name="lines")
    position = models.PositiveSmallIntegerField()
    debit = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="+", db_index=False)
    credit = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="+", db_index=False)
    amount = models.DecimalField(max_digits=38, decimal_places=12)
    currency = models.CharField(max_length=3)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["adjustment", "position"], name="ledger_adjustmentline_position"
            ),
            models.CheckConstraint(condition=Q(amount__gt=0), name="ledger_adjustmentline_amount"),
            models.CheckConstraint(
                condition=~Q(debit=F("credit")), name="ledger_adjustmentline_accounts"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.debit_id} / {self.credit_id} {self.amount.normalize():f} {self.currency}"
