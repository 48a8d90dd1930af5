"""Invoices, their lines and their numbers.

Guarantees: lines sum to the total; the total is what credits paid plus what is due; numbers have
no gap and no repeat within a mode.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

from django.db import models
from django.db.models import F, Q
from djmoney.models.fields import MoneyField

from aforo import payable
from aforo.ids import new_id
from aforo.money import ZERO
from billing.models.adjustments import SettlementAdjustment
from billing.models.customers import Customer
from billing.models.payments import BankPayment
from billing.models.settlements import Settlement
from ledger.models import Entry
from wallets.models import PaidBy, TopUp


class InvoiceStatus(models.TextChoices):
    DRAFT = "DRAFT"
    OPEN = "OPEN"
    PAID = "PAID"
    VOID = "VOID"
    UNCOLLECTIBLE = "UNCOLLECTIBLE"


class Document(models.TextChoices):
    """The types of documents that are numbered without gaps."""

    INVOICE = "INVOICE", "Invoice"
    STATEMENT = "STATEMENT", "Statement of a PREPAID settlement"
    CREDIT_NOTE = "CREDIT_NOTE", "Credit note"


class InvoiceSeries(models.Model):
    """The counter of a mode's documents of one type, locked last and briefly."""

    livemode = models.BooleanField()
    document = models.CharField(max_length=11, choices=Document.choices, default=Document.INVOICE)
    prefix = models.CharField(max_length=20)
    last_number = models.BigIntegerField(default=0)

    class Meta:
        verbose_name_plural = "invoice series"
        constraints = [
            models.UniqueConstraint(fields=["livemode", "document"], name="billing_series_once")
        ]

    def __str__(self) -> str:
        return self.prefix


class Invoice(models.Model):
    """The document of what a customer owes for one settled cycle, for a correction that added to
    it, or for credits bought on account.

    total = from_wallet + amount_due. Corrections leave that as it was issued: what they lower of
    the open part is `credited`, and of the paid part `returned`, to the customer's credit; what
    nobody is expected to pay any more is `written_off`, and `recovered` as far as it was paid after
    all. VOID, it is as if it had billed nothing. From the moment it has a number, the database
    refuses any change but of its state.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    livemode = models.BooleanField()
    number = models.CharField(max_length=40, null=True, blank=True)  # noqa: DJ001
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="invoices")
    settlement = models.OneToOneField(
        Settlement, on_delete=models.PROTECT, null=True, blank=True, related_name="invoice"
    )
    top_up = models.OneToOneField(
        TopUp,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="invoice",
        help_text="The credits sold on account.",
    )
    adjustment = models.OneToOneField(
        SettlementAdjustment,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="invoice",
        help_text="The correction that charges more.",
    )
    status = models.CharField(
        max_length=15, choices=InvoiceStatus.choices, default=InvoiceStatus.DRAFT
    )
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    subtotal = models.DecimalField(max_digits=38, decimal_places=12, default=0)
    discount = models.DecimalField(max_digits=38, decimal_places=12, default=0)
    tax = models.DecimalField(max_digits=38, decimal_places=12, default=0)
    # The one money field: its currency column is the invoice's.
    currency: str
    total: Any = MoneyField(  # type: ignore[no-untyped-call]
        max_digits=38, decimal_places=12, currency_field_name="currency"
    )
    from_wallet = models.DecimalField(max_digits=38, decimal_places=12, default=0)
    amount_due = models.DecimalField(max_digits=38, decimal_places=12, default=0)
    due_tax = models.DecimalField(
        max_digits=38, decimal_places=12, default=0, help_text="The tax in the amount due."
    )
    paid = models.DecimalField(max_digits=38, decimal_places=12, default=0)
    credited = models.DecimalField(max_digits=38, decimal_places=12, default=0)
    returned = models.DecimalField(max_digits=38, decimal_places=12, default=0)
    written_off = models.DecimalField(max_digits=38, decimal_places=12, default=0, db_default=0)
    recovered = models.DecimalField(max_digits=38, decimal_places=12, default=0, db_default=0)
    tax_relieved = models.DecimalField(
        max_digits=38,
        decimal_places=12,
        default=0,
        db_default=0,
        help_text="Of what was written off, the tax that is not owed any more.",
    )
    issued_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True)
    finalizes_at = models.DateTimeField(
        null=True, blank=True, help_text="When a draft that may be looked at first is finalized."
    )
    content = models.JSONField(
        null=True,
        blank=True,
        help_text="What its document says beside these columns: lines, payers, taxes.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[models.Manager[Invoice]] = models.Manager()

    class Meta:
        indexes = [
            models.Index(
                fields=["customer"],
                condition=Q(content__isnull=True, number__isnull=False),
                name="billing_invoice_undocumented",
            )
        ]
        constraints = [
            models.UniqueConstraint(fields=["livemode", "number"], name="billing_invoice_number"),
            models.CheckConstraint(
                condition=Q(total=F("from_wallet") + F("amount_due")), name="billing_invoice_sums"
            ),
            models.CheckConstraint(
                condition=Q(
                    amount_due__gte=0,
                    due_tax__gte=0,
                    due_tax__lte=F("amount_due"),
                    paid__gte=0,
                    credited__gte=0,
                    paid__lte=F("amount_due") - F("credited"),
                    returned__gte=0,
                    returned__lte=F("paid"),
                ),
                name="billing_invoice_paid",
            ),
            models.CheckConstraint(
                condition=payable.columns("amount_due", "paid"), name="billing_invoice_payable"
            ),
            models.CheckConstraint(
                condition=Q(
                    written_off__gte=0,
                    written_off__lte=F("amount_due") - F("credited") - F("paid"),
                    recovered__gte=0,
                    recovered__lte=F("written_off"),
                    tax_relieved__gte=0,
                    tax_relieved__lte=F("written_off"),
                )
                & (Q(written_off=0) ^ Q(status__in=["UNCOLLECTIBLE", "PAID"], written_off__gt=0))
                & (~Q(status="UNCOLLECTIBLE") | Q(written_off__gt=F("recovered"))),
                name="billing_invoice_written_off",
            ),
            models.CheckConstraint(
                condition=~Q(status="VOID") | Q(paid=0, credited=0, written_off=0),
                name="billing_invoice_void",
            ),
            models.CheckConstraint(
                condition=payable.columns("written_off", "recovered", "tax_relieved"),
                name="billing_invoice_loss_payable",
            ),
            models.CheckConstraint(
                condition=Q(
                    subtotal__gte=0,
                    discount__gte=0,
                    discount__lte=F("subtotal"),
                    tax__gte=0,
                    from_wallet__gte=0,
                ),
                name="billing_invoice_discount",
            ),
            models.CheckConstraint(
                condition=Q(status="DRAFT", number=None)
                | (~Q(status="DRAFT") & Q(number__isnull=False)),
                name="billing_invoice_numbered",
            ),
        ]

    def __str__(self) -> str:
        return self.number or f"draft {self.pk}"

    @property
    def open(self) -> Decimal:
        """Return what is still to be paid, of one that is void nothing."""
        if self.status == InvoiceStatus.VOID:
            return ZERO
        return self.amount_due - self.credited - self.paid - self.written_off


class LineKind(models.TextChoices):
    USAGE = "USAGE"
    FEE = "FEE"
    COMMIT = "COMMIT"
    DISCOUNT = "DISCOUNT"
    TAX = "TAX"
    PRORATION = "PRORATION"
    OVERAGE = "OVERAGE"
    BONUS = "BONUS"
    ADJUSTMENT = "ADJUSTMENT"
    ROUNDING = "ROUNDING"
    CREDITS = "CREDITS"


class InvoiceLine(models.Model):
    """One line; amounts are signed here (DISCOUNT is negative), because lines sum to the total."""

    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="lines")
    position = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=10, choices=LineKind.choices)
    charge = models.CharField(max_length=64, blank=True)
    description = models.CharField(max_length=300)
    quantity = models.DecimalField(max_digits=38, decimal_places=12, null=True)
    unit_price = models.DecimalField(max_digits=38, decimal_places=12, null=True)
    amount = models.DecimalField(max_digits=38, decimal_places=12)
    steps = models.JSONField(default=list)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["invoice", "position"], name="billing_line_position")
        ]

    def __str__(self) -> str:
        return self.description


class InvoicePayment(models.Model):
    """Money received for an invoice; an overpayment is unapplied (2220)."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="payments")
    amount = models.DecimalField(max_digits=38, decimal_places=12)
    applied = models.DecimalField(max_digits=38, decimal_places=12)
    reference = models.CharField(max_length=200)
    paid_by = models.CharField(
        max_length=9,
        choices=PaidBy.choices,
        default=PaidBy.BANK,
        db_default=PaidBy.BANK,
        help_text="Whose account it came into: 1000 or 1010.",
    )
    bank_payment = models.ForeignKey(
        BankPayment, on_delete=models.PROTECT, null=True, blank=True, related_name="payments"
    )
    received_at = models.DateTimeField()
    entry = models.OneToOneField(Entry, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(amount__gt=0, applied__gte=0, applied__lte=F("amount")),
                name="billing_invoicepayment_amounts",
            ),
            models.CheckConstraint(
                condition=Q(paid_by__in=["BANK", "PROCESSOR"]),
                name="billing_invoicepayment_paid_by",
            ),
        ]

    def __str__(self) -> str:
        return self.reference
