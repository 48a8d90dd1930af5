"""The books: a customer's Book, the chart of accounts, entries and their postings.

Guarantees, held by the database against every writer:
- an entry and its postings are never updated or deleted (triggers, ENABLE ALWAYS);
- a posting moves an amount above zero between two different accounts, so an unbalanced entry
  cannot be written at all;
- a posting is in the book of its entry;
- the sequence of a book has no gap and no repeat, and each entry's hash covers the one before;
- nothing is posted into a closed period.
"""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.db.models.fields.json import KT, KeyTransform

from aforo.actors import ACTOR_KINDS
from aforo.ids import new_id
from aforo.sandbox.models import TestClock
from ledger.posting_rules.parts import EXPECTED_BREAKAGE


class Book(models.Model):
    """A customer's account book: the row that is locked, the gap-free counter of its entries, and
    the head of its hash chain.
    """

    livemode = models.BooleanField()
    key = models.CharField(max_length=64, help_text="The customer's id, chosen by the client.")
    sequence = models.BigIntegerField(default=0)
    head_hash = models.CharField(max_length=64, default="", blank=True)
    last_recorded_at = models.DateTimeField(null=True, blank=True)
    test_clock = models.ForeignKey(
        TestClock, on_delete=models.PROTECT, null=True, blank=True, related_name="books"
    )
    has_budgets = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Whoever takes its credits asks its budgets, too.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["livemode", "key"], name="ledger_book_key"),
            models.CheckConstraint(condition=~Q(key=""), name="ledger_book_key_given"),
            models.CheckConstraint(condition=Q(sequence__gte=0), name="ledger_book_sequence"),
            models.CheckConstraint(
                condition=Q(livemode=False) | Q(test_clock=None), name="ledger_book_sandbox_clock"
            ),
        ]

    def __str__(self) -> str:
        return self.key


class Side(models.TextChoices):
    DEBIT = "DEBIT"
    CREDIT = "CREDIT"


class Statement(models.TextChoices):
    ASSET = "ASSET"
    LIABILITY = "LIABILITY"
    EQUITY = "EQUITY"
    INCOME = "INCOME"
    EXPENSE = "EXPENSE"


class Account(models.Model):
    """An account of the chart; `normal` is the side on which its balance is positive."""

    code = models.CharField(max_length=10, primary_key=True)
    name = models.CharField(max_length=100)
    normal = models.CharField(max_length=6, choices=Side.choices)
    statement = models.CharField(max_length=10, choices=Statement.choices)

    def __str__(self) -> str:
        return f"{self.code} {self.name}"


class LedgerEvent(models.TextChoices):
    """What can happen to credits and money; each makes entries."""

    GRANT = "GRANT", "Credits granted"
    TOP_UP = "TOP_UP", "Credits bought"
    DEBIT = "DEBIT", "Credits burned"
    HOLD = "HOLD", "Credits reserved"
    CAPTURE = "CAPTURE", "Reservation captured"
    RELEASE = "RELEASE", "Reservation released"
    REVERSAL = "REVERSAL", "Debit reversed"
    EXPIRY = "EXPIRY", "Credits lapsed"
    ROLLOVER = "ROLLOVER", "Credits rolled over"
    REFUND = "REFUND", "Credits refunded"
    DISPUTE = "DISPUTE", "Top-up disputed"
    ADJUSTMENT = "ADJUSTMENT", "Credits adjusted"
    USAGE_BURNED = "USAGE_BURNED", "Metered usage paid by credits"
    SETTLEMENT = "SETTLEMENT", "Cycle settled"
    USAGE_ACCRUED = "USAGE_ACCRUED", "Uncovered usage accrued"
    FEE_RECOGNISED = "FEE_RECOGNISED", "Plan fee earned"
    BREAKAGE_ACCRUED = "BREAKAGE_ACCRUED", "Breakage accrued"
    ALLOWANCE_ADJUSTED = "ALLOWANCE_ADJUSTED", "Allowance for losses adjusted"
    INVOICE = "INVOICE", "Invoice issued"
    PAYMENT = "PAYMENT", "Invoice paid"
    CREDIT_NOTE = "CREDIT_NOTE", "Credit note issued"
    WRITE_OFF = "WRITE_OFF", "Receivable written off"
    MANUAL = "MANUAL", "Manual correction"
    OPENING_BALANCE = "OPENING_BALANCE", "Opening balance"


def _copied(path: str) -> models.GeneratedField:
    """Return a column with the text at a path of the document, or NULL."""
    return models.GeneratedField(
        expression=KT(path), output_field=models.TextField(null=True), db_persist=True
    )


class Entry(models.Model):
    """One event of one book. Append-only; `document` holds strings only, and is hashed.

    Guarantees: the document names its actor. What lists filter by (`actor_kind`, `actor_id`,
    `reason`, `attributes`) is computed from the document by the database, so it cannot differ.

    `occurred_at` is when it took effect, `recorded_at` the database clock after the book's lock
    (never goes back within a book), `accounting_date` decides the period.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    # The unique key begins with the book, so its foreign key needs no index of its own.
    book = models.ForeignKey(Book, on_delete=models.PROTECT, related_name="entries", db_index=False)
    sequence = models.BigIntegerField()
    event = models.CharField(max_length=20, choices=LedgerEvent.choices)
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    accounting_date = models.DateField(db_index=True)
    document = models.JSONField()
    actor_kind = _copied("document__actor__kind")
    actor_id = _copied("document__actor__id")
    reason = _copied("document__reason")
    attributes = models.GeneratedField(
        expression=KeyTransform("attributes", "document"),
        output_field=models.JSONField(null=True),
        db_persist=True,
    )
    prev_hash = models.CharField(max_length=64, blank=True)
    hash = models.CharField(max_length=64)

    class Meta:
        verbose_name_plural = "entries"
        indexes = [
            models.Index(fields=["recorded_at", "id"], name="ledger_entry_newest"),
            # Few entries reverse another; they are looked up by the one that they reverse.
            models.Index(
                KT("document__reverses"),
                condition=Q(document__has_key="reverses"),
                name="ledger_entry_reverses",
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["book", "sequence"], name="ledger_entry_sequence"),
            models.CheckConstraint(condition=Q(sequence__gt=0), name="ledger_entry_from_one"),
            models.CheckConstraint(
                condition=Q(actor_kind__isnull=False, actor_kind__in=list(dict(ACTOR_KINDS)))
                & Q(actor_id__isnull=False, actor_id__gt=""),
                name="ledger_entry_actor",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.sequence}"


class Posting(models.Model):
    """An amount moved from the credited account to the debited one.

    Balanced by construction: there is one amount. `lot` is the id of the credit lot whose carrying
    amount moved, without a foreign key, because the books know nothing of wallets.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    book = models.ForeignKey(
        Book, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    entry = models.ForeignKey(
        Entry, on_delete=models.PROTECT, related_name="postings", db_index=False
    )
    position = models.PositiveSmallIntegerField()
    # No constraint to the chart: a foreign key would lock the same few rows from every debit.
    debit = models.ForeignKey(
        Account, on_delete=models.PROTECT, db_constraint=False, related_name="+", db_index=False
    )
    credit = models.ForeignKey(
        Account, on_delete=models.PROTECT, db_constraint=False, related_name="+", db_index=False
    )
    amount = models.DecimalField(max_digits=38, decimal_places=12)
    currency = models.CharField(max_length=3)
    lot = models.UUIDField(null=True, blank=True)

    class Meta:
        indexes = [
            # Few lots have breakage recognised before they lapse; those are looked up by lot.
            models.Index(
                fields=["lot"],
                condition=Q(debit=EXPECTED_BREAKAGE) | Q(credit=EXPECTED_BREAKAGE),
                name="ledger_posting_breakage",
            )
        ]
        constraints = [
            models.UniqueConstraint(fields=["entry", "position"], name="ledger_posting_position"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="ledger_posting_amount"),
            models.CheckConstraint(condition=~Q(debit=F("credit")), name="ledger_posting_accounts"),
        ]

    def __str__(self) -> str:
        return f"{self.debit_id} / {self.credit_id} {self.amount.normalize():f} {self.currency}"
