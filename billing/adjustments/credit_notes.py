"""Credit notes: an issued invoice is lowered, in whole, in part or by line
(docs/accounting.md#e29 and #e30, docs/decisions.md#d501).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Sum

from aforo import money, payable
from aforo.errors import FieldError, Invalid
from aforo.money import ZERO, plain
from aforo.protocol.idempotency import Answer
from aforo.sandbox.services import now_for
from billing.adjustments import noted_lines
from billing.adjustments.noted_lines import LinePart
from billing.invoicing import credit_note_documents, invoices, undelivered, write_offs
from billing.invoicing.invoices import get_invoice
from billing.models import CreditNote, Invoice, InvoicePayment, InvoiceStatus
from billing.settlement import bearers
from billing.subscriptions import spend_rules
from ledger import approvals, posting_rules
from ledger.models import ApprovalAction, Book, LedgerEvent
from wallets import port
from wallets.lots.credit_journal import CreditJournal
from wallets.models import TopUpStatus
from wallets.operations import idempotency
from wallets.top_ups import sales

CREDIT = "billing.invoices.credit"


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a note takes back: with its tax, that tax, and its lines before tax; of them the part
    that is the fee in advance, where lines were named.
    """

    gross: Decimal
    tax: Decimal
    lines: tuple[dict[str, str], ...]
    of_fee: Decimal | None = None

    @property
    def net(self) -> Decimal:
        return self.gross - self.tax


def credit(
    *,
    livemode: bool,
    invoice: str,
    reason: str,
    key: str,
    amount: Decimal | None = None,
    parts: Sequence[LinePart] = (),
) -> Answer:
    """Issue a credit note over an amount with its tax, over lines, or without either over all that
    is left of an invoice, once per key.

    What is open is lowered first; what was paid becomes the customer's credit (2210). What is not
    yet earned leaves its liability. Above a limit it waits for approval.
    Raises: UnknownInvoice, InvoiceInDraft, NotOpen, CreditsHeldBack; Invalid (`not_payable`,
    `exceeds_invoice`, `exceeds_line`, `unknown_line`, `repeated`).
    """
    found = get_invoice(livemode=livemode, reference=invoice)
    said: dict[str, Any] = {"invoice": str(found.pk), "reason": reason}
    if amount is not None:
        payable.check(amount, found.currency, pointer="/amount")
        said["amount"] = amount
    if parts:
        said["parts"] = [part.shown for part in parts]

    def make(book: Book, operation_id: UUID) -> dict[str, object] | Answer:
        issued = Invoice.objects.select_related("top_up", "settlement").get(pk=found.pk)
        asked = _asked(issued, amount, parts)
        waits = approvals.ask_in_book(
            book,
            action=ApprovalAction.ADJUSTMENT,
            operation=CREDIT,
            content=said,
            amount=asked.gross,
            currency=issued.currency,
        )
        return waits or _credit(book, issued, operation_id, asked, reason)

    return idempotency.once(
        livemode=livemode,
        customer_id=found.customer.book.key,
        key=key,
        operation=CREDIT,
        content=said,
        make=make,
    )


@money.exact
def _asked(invoice: Invoice, amount: Decimal | None, parts: Sequence[LinePart]) -> _Asked:
    """Check what is asked for, and work out its tax.

    Raises: InvoiceInDraft, NotOpen, CreditsHeldBack, Invalid.
    """
    if invoice.status == InvoiceStatus.DRAFT:
        raise invoices.InvoiceInDraft(f"The invoice {invoice} is no document yet.")
    left = left_of(invoice)
    if invoice.status == InvoiceStatus.VOID or left <= 0:
        raise invoices.NotOpen(f"Nothing is left to credit of {invoice}.")
    if invoice.top_up is not None and invoice.top_up.status == TopUpStatus.PENDING:
        detail = f"The credits of {invoice} come when it is paid; nothing is owed."
        raise write_offs.CreditsHeldBack(detail)
    if parts:
        lines = noted_lines.read(invoice, parts)
        tax = _tax_on(invoice, net=lines.net)
        asked = _Asked(lines.net + tax, tax, lines.shown, lines.of_fee)
    else:
        gross = left if amount is None else amount
        tax = min(_tax_in(invoice, gross), gross)
        said = "In part" if gross < invoice.amount_due else "In whole"
        line = {"description": f"{said}: invoice {invoice}", "amount": plain(gross - tax)}
        asked = _Asked(gross, tax, (line,))
    if asked.gross > left:
        detail = f"At most {plain(left)} with its tax is left of the invoice."
        raise Invalid([FieldError("/lines" if parts else "/amount", "exceeds_invoice", detail)])
    return asked


def left_of(invoice: Invoice) -> Decimal:
    """Return what can still be credited of an invoice, with its tax."""
    return invoice.amount_due - invoice.credited - invoice.returned - invoice.written_off


def _before(invoice: Invoice) -> tuple[Decimal, Decimal]:
    """Return what was taken back of an invoice so far, with its tax, and that tax; corrections of
    an earlier version had no notes, and their tax is the document's share.
    """
    gross = invoice.credited + invoice.returned
    sums = CreditNote.objects.filter(invoice=invoice).aggregate(
        noted=Sum("amount"), taxed=Sum("tax")
    )
    bare = max(gross - (sums["noted"] or ZERO), ZERO)
    return gross, (sums["taxed"] or ZERO) + write_offs.tax_within(invoice, bare)


def _tax_in(invoice: Invoice, gross: Decimal) -> Decimal:
    """Return the tax in an amount, rounded over all that is taken back so far, so that the parts
    never come to more than the invoice's.
    """
    before, taxed = _before(invoice)
    return max(write_offs.tax_within(invoice, before + gross) - taxed, ZERO)


def _tax_on(invoice: Invoice, *, net: Decimal) -> Decimal:
    """Return the tax on an amount without it, rounded in the same way."""
    before, taxed = _before(invoice)
    whole = invoice.amount_due - invoice.due_tax
    exact = money.proportion(invoice.due_tax, before - taxed + net, whole)
    return max(money.round_amount(exact, invoice.currency) - taxed, ZERO)


@money.exact
def _credit(
    book: Book, invoice: Invoice, note_id: UUID, asked: _Asked, reason: str
) -> dict[str, object]:
    journal = CreditJournal()
    entry = journal.entry(
        book=book,
        event=LedgerEvent.CREDIT_NOTE,
        occurred_at=now_for(book),
        document={
            "invoice": str(invoice),
            "credit_note": str(note_id),
            "reason": reason,
            "amount": plain(asked.gross),
            "tax": plain(asked.tax),
        },
    )
    back = undelivered.take_back(entry, invoice, net=asked.net, of_fee=asked.of_fee)
    credited, returned = bearers.lower(invoice, asked.gross)
    entry.lines += posting_rules.credit_note(
        earned=asked.net - back.total,
        tax=asked.tax,
        unearned_fees=back.unearned_fees,
        unused=back.unused,
        currency=invoice.currency,
        given_to=(
            (posting_rules.RECEIVABLE, credited),
            (posting_rules.CUSTOMER_CREDIT, returned),
        ),
    )
    journal.write()
    note = credit_note_documents.write(
        id=note_id,
        invoice=invoice,
        tax=asked.tax,
        credited=credited,
        returned=returned,
        lines=asked.lines,
        reason=reason,
        now=entry.occurred_at,
        entry_id=entry.id,
        unearned=back.unearned_fees,
        revoked=back.total - back.unearned_fees,
    )
    _follow_up(book, invoice)
    if back.unused:
        port.billing().credits_fell([book.pk])
    # The number comes last, because its counter is everybody's.
    credit_note_documents.issue(book=book, note=note)
    return describe(note)


def _follow_up(book: Book, invoice: Invoice) -> None:
    """Do what the rest of an invoice being paid brings: credits sold on account that are left are
    the customer's own, and whoever was suspended for it is served again.
    """
    if invoice.status != InvoiceStatus.PAID:
        return
    paid = InvoicePayment.objects.filter(invoice=invoice).order_by("received_at", "pk").last()
    if invoice.top_up is not None and invoice.top_up.paid_at is None and paid is not None:
        sales.pay_on_account(
            book=book, top_up_id=invoice.top_up.pk, paid_by=paid.paid_by, now=now_for(book)
        )
    spend_rules.refresh_rules(book=book)
    port.billing().credits_arrived(book)


def describe(note: CreditNote) -> dict[str, object]:
    """Return a note as the API shows it."""
    return {
        "id": note.pk,
        "number": note.number,
        "customer_id": note.customer.book.key,
        "invoice": note.invoice.number,
        "adjustment": note.adjustment_id,
        "currency": note.currency,
        "amount": note.amount,
        "tax": note.tax,
        "earned": note.earned,
        "unearned": note.unearned,
        "revoked": note.revoked,
        "credited": note.credited,
        "returned": note.returned,
        "lines": note.lines,
        "reason": note.reason,
        "entry": note.entry_id,
        "created_at": note.created_at,
        "issued_at": note.issued_at,
    }
