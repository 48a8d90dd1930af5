"""The months of the live books: open, closing, closed, reopened; and what was frozen at a close.

Guarantees, held by the database: a CLOSED month takes no entry, whoever writes; it is reopened
only with a reason and by two different people, the last one first; what a close froze never
changes, nor what was done for it.
"""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from ledger.models.policies import FourEyes


class PeriodStatus(models.TextChoices):
    OPEN = "OPEN"
    PENDING_CLOSE = "PENDING_CLOSE", "Pending close"
    CLOSED = "CLOSED"
    REOPENED = "REOPENED"


class AccountingPeriod(models.Model):
    """A calendar month of the live books; a closed one takes no entry (sandbox never closes)."""

    livemode = models.BooleanField(default=True)
    starts_on = models.DateField()
    ends_on = models.DateField(help_text="Exclusive.")
    status = models.CharField(
        max_length=13, choices=PeriodStatus.choices, default=PeriodStatus.OPEN
    )
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.CharField(max_length=150, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["livemode", "starts_on"], name="ledger_accountingperiod_month"
            ),
            models.CheckConstraint(
                condition=Q(ends_on__gt=F("starts_on")), name="ledger_accountingperiod_order"
            ),
            models.CheckConstraint(condition=Q(livemode=True), name="ledger_accountingperiod_live"),
        ]

    def __str__(self) -> str:
        return f"{self.starts_on:%Y-%m}"


class Reopening(FourEyes):
    """Why a closed month was opened again, and who agreed; `evidence` is the reason."""

    period = models.ForeignKey(
        AccountingPeriod, on_delete=models.PROTECT, related_name="reopenings"
    )

    class Meta(FourEyes.Meta):
        pass

    def __str__(self) -> str:
        return f"{self.period}: {self.evidence}"


class ClosePack(models.Model):
    """What a close rested on: each close of a month has its own, numbered from one.

    While the month stays closed, `sums` and what is said here of its entries answer for them.
    """

    period = models.ForeignKey(AccountingPeriod, on_delete=models.PROTECT, related_name="packs")
    number = models.PositiveSmallIntegerField()
    closed_at = models.DateTimeField()
    closed_by = models.CharField(max_length=150)
    entries = models.PositiveBigIntegerField()
    first_recorded_at = models.DateTimeField(null=True, blank=True)
    last_recorded_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["period", "number"], name="ledger_closepack_number")
        ]

    def __str__(self) -> str:
        return f"{self.period} #{self.number}"


class CloseStep(models.Model):
    """A step of closing a month that was completed: by whom, when, with which result, and what it
    rests on. A close that was refused has its steps up to there; repeated, it has them again.
    """

    period = models.ForeignKey(AccountingPeriod, on_delete=models.PROTECT, related_name="steps")
    number = models.PositiveSmallIntegerField(help_text="Of the pack that it is done for.")
    step = models.CharField(max_length=40)
    by = models.CharField(max_length=150)
    done_at = models.DateTimeField()
    result = models.TextField()
    evidence = models.JSONField(default=dict, blank=True)

    def __str__(self) -> str:
        return f"{self.period}: {self.step}"


class CloseFile(models.Model):
    """A file of a close pack, with the hash that it was frozen with."""

    pack = models.ForeignKey(ClosePack, on_delete=models.PROTECT, related_name="files")
    name = models.CharField(max_length=100)
    content = models.TextField()
    sha256 = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["pack", "name"], name="ledger_closefile_name")
        ]

    def __str__(self) -> str:
        return self.name


class CloseSum(models.Model):
    """What one kind of event moved between two accounts in the month, when it was closed."""

    # The unique key begins with the pack, so its foreign key needs no index of its own.
    pack = models.ForeignKey(
        ClosePack, on_delete=models.PROTECT, related_name="sums", db_index=False
    )
    event = models.CharField(max_length=20)
    debit = models.CharField(max_length=10)
    credit = models.CharField(max_length=10)
    currency = models.CharField(max_length=3)
    amount = models.DecimalField(max_digits=38, decimal_places=12)
    postings = models.PositiveBigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["pack", "event", "debit", "credit", "currency"], name="ledger_closesum_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.pack}: {self.event} {self.debit} / {self.credit} {self.currency}"
