"""What leaves for the company's general ledger: account mapping, numbered batches, their files.

Guarantees, held by the database:
- the batches of a mode and format are numbered once;
- of a book, month and format, no two batches begin after the same entry, and the entries of a
  batch are its ranges, so that an entry exported in a format is not exported in it again;
- ranges, files and receipts are never changed or deleted (triggers, ENABLE ALWAYS).
"""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from ledger.models.books import Account, Book


class GlMapping(models.Model):
    """From a day on, an account is this one in the company's general ledger.

    A rule for a currency goes before one for all of them.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="mappings")
    currency = models.CharField(max_length=3, blank=True, help_text="Empty: every currency.")
    starts_on = models.DateField()
    ends_on = models.DateField(null=True, blank=True, help_text="Exclusive; empty: no end.")
    gl_code = models.CharField(max_length=50, help_text="The code in the general ledger.")
    gl_name = models.CharField(
        max_length=150, blank=True, help_text="The name there, as Parent:Sub where it has parents."
    )

    class Meta:
        verbose_name = "GL mapping"
        constraints = [
            models.UniqueConstraint(
                fields=["account", "currency", "starts_on"], name="ledger_glmapping_once"
            ),
            models.CheckConstraint(
                condition=Q(ends_on=None) | Q(ends_on__gt=F("starts_on")),
                name="ledger_glmapping_order",
            ),
            models.CheckConstraint(condition=~Q(gl_code=""), name="ledger_glmapping_code"),
        ]

    def __str__(self) -> str:
        return f"{self.account_id} -> {self.gl_code}"


class ExportFormat(models.TextChoices):
    GENERIC = "GENERIC", "Generic CSV, one line a side"
    QUICKBOOKS = "QUICKBOOKS", "QuickBooks Online"
    XERO = "XERO", "Xero manual journals"
    NETSUITE = "NETSUITE", "NetSuite"
    INTACCT = "INTACCT", "Sage Intacct"
    FEC = "FEC", "French FEC"


class ExportBatch(models.Model):
    """A file that was made once, from entries that no other file of its format holds.

    `residues` is what rounding has left unexported so far, by pair of accounts and currency; the
    next batch of the format begins from it.
    """

    livemode = models.BooleanField()
    format = models.CharField(max_length=10, choices=ExportFormat.choices)
    number = models.PositiveIntegerField()
    starts_on = models.DateField(help_text="The first day of the month.")
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=150)
    entries = models.PositiveBigIntegerField()
    rows = models.PositiveBigIntegerField()
    journals = models.PositiveBigIntegerField()
    totals = models.JSONField(
        default=dict, help_text="Debits and credits in the file, by currency."
    )
    booked = models.JSONField(
        default=dict, help_text="What its entries posted, exact, by account, currency and side."
    )
    written = models.JSONField(
        null=True,
        help_text="What its file says, rounded, in the same way; of batches of 0.1.0 not known.",
    )
    residues = models.JSONField(default=dict, blank=True)
    clearing = models.CharField(
        max_length=50,
        blank=True,
        help_text="The GL account that stood in for receivables and cash, if they were left out.",
    )
    mapping_version = models.CharField(max_length=64)
    chart_version = models.CharField(max_length=64)
    sha256 = models.CharField(max_length=64)
    journal_ids = models.JSONField(
        default=list,
        blank=True,
        help_text="What its journals are called in the file; the generic one has the entries' ids.",
    )

    class Meta:
        verbose_name_plural = "export batches"
        constraints = [
            models.UniqueConstraint(
                fields=["livemode", "format", "number"], name="ledger_exportbatch_number"
            ),
            models.CheckConstraint(condition=Q(number__gt=0), name="ledger_exportbatch_from_one"),
        ]

    def __str__(self) -> str:
        return f"{self.get_format_display()} {self.starts_on:%Y-%m} #{self.number}"


class ExportRange(models.Model):
    """Of one book, the entries of the batch's month with a sequence in (after, through]."""

    batch = models.ForeignKey(ExportBatch, on_delete=models.PROTECT, related_name="ranges")
    book = models.ForeignKey(
        Book, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    # The batch's own, repeated here for the unique key.
    format = models.CharField(max_length=10, choices=ExportFormat.choices)
    starts_on = models.DateField()
    after = models.BigIntegerField()
    through = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["book", "format", "starts_on", "after"], name="ledger_exportrange_once"
            ),
            models.CheckConstraint(
                condition=Q(after__gte=0, through__gt=F("after")), name="ledger_exportrange_order"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.book_id}: {self.after + 1} to {self.through}"


class ExportPart(models.Model):
    """A compressed piece of one of a batch's files; in order they are the file, byte by byte."""

    batch = models.ForeignKey(
        ExportBatch, on_delete=models.PROTECT, related_name="parts", db_index=False
    )
    file = models.PositiveIntegerField(help_text="Counted from one.")
    position = models.PositiveIntegerField()
    content = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["batch", "position"], name="ledger_exportpart_position")
        ]

    def __str__(self) -> str:
        return f"{self.batch_id}.{self.position}"


class ExportReceipt(models.Model):
    """What the accounting system called what it took from a batch: one of its journals or, with
    none named, the whole import.
    """

    batch = models.ForeignKey(
        ExportBatch, on_delete=models.PROTECT, related_name="receipts", db_index=False
    )
    journal = models.CharField(max_length=40, blank=True, help_text="Empty: the whole batch.")
    target_id = models.CharField("its id there", max_length=200)
    # The batch's own, repeated here for the unique key.
    livemode = models.BooleanField()
    format = models.CharField(max_length=10, choices=ExportFormat.choices)
    recorded_at = models.DateTimeField()
    recorded_by = models.CharField(max_length=150)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["batch", "journal"], name="ledger_exportreceipt_once"),
            # An id of theirs stands for one journal only.
            models.UniqueConstraint(
                fields=["livemode", "format", "target_id"],
                condition=~Q(journal=""),
                name="ledger_exportreceipt_target",
            ),
            models.CheckConstraint(condition=~Q(target_id=""), name="ledger_exportreceipt_given"),
        ]

    def __str__(self) -> str:
        return f"{self.journal or self.batch} is {self.target_id}"
