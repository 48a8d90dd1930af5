"""Voids: invoices that should never have been issued, taken back whole before anybody has paid
(docs/decisions.md#d36, #d500). The document and its number stay.
"""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from aforo import money
from aforo.errors import Conflict
from aforo.money import ZERO, plain
from aforo.protocol.idempotency import Answer
from aforo.sandbox.services import now_for
from billing.adjustments import voided_cycles
from billing.invoicing import invoices
from billing.invoicing.invoices import get_invoice
from billing.models import Invoice, InvoiceStatus
from billing.subscriptions import spend_rules
from ledger import posting_rules
from ledger.models import Book, LedgerEvent
from wallets import port
from wallets.holds import reservation_holds
from wallets.lots.credit_journal import CreditJournal, EntryBuilder
from wallets.operations import idempotency
from wallets.operations.responses import allocated
from wallets.top_ups import void_sales

VOID = "billing.invoices.void"


class NotVoidable(Conflict):
    """The invoice is a draft or void, a part of it is paid, credited or written off, or what it
    bills was used, corrected or billed on since.

    Credit it by POST /v1/invoices/{reference}/credit-notes instead.
    """

    default_code = "not_voidable"


def void(*, livemode: bool, invoice: str, reason: str, key: str) -> Answer:
    """Void an issued invoice of which nothing is paid, once per key: what was posted is posted
    back, today, and its credits return to their lots or, bought by it, are revoked. Its cycle is
    VOIDED, never to be settled again by itself.

    Raises: UnknownInvoice, NotVoidable.
    """
    found = get_invoice(livemode=livemode, reference=invoice)

    def make(book: Book, operation_id: UUID) -> dict[str, object]:
        issued = Invoice.objects.select_related(
            "top_up", "settlement__subscription__customer__book"
        ).get(pk=found.pk)
        return _void(book, issued, operation_id, reason)

    return idempotency.once(
        livemode=livemode,
        customer_id=found.customer.book.key,
        key=key,
        operation=VOID,
        content={"invoice": found.pk, "reason": reason},
        make=make,
        status=200,
    )


@money.exact
def _void(book: Book, invoice: Invoice, operation_id: UUID, reason: str) -> dict[str, object]:
    _check(invoice)
    journal = CreditJournal()
    entry = journal.entry(
        book=book,
        event=LedgerEvent.ADJUSTMENT,
        occurred_at=now_for(book),
        document={
            "invoice": str(invoice),
            "void": str(operation_id),
            "reason": reason,
            "amount": plain(invoice.amount_due),
        },
    )
    if invoice.settlement is not None:
        returned = voided_cycles.take_back(entry, invoice.settlement)
        entry.lines += posting_rules.reversal(invoices.posted(invoice))
        revoked = ZERO
    else:
        returned = []
        revoked = _unsell(entry, invoice)
    journal.write()
    invoice.status = InvoiceStatus.VOID
    invoice.save(update_fields=["status"])
    if invoice.settlement is not None:
        voided_cycles.follow_up(entry, invoice.settlement)
    reservation_holds.lapse_returned(journal.returned)
    spend_rules.refresh_rules(book=book)
    # What came back pays what is owed; whoever was suspended for the invoice is served again.
    port.billing().credits_arrived(book)
    if revoked:
        port.billing().credits_fell([book.pk])
    return {
        "id": operation_id,
        "customer_id": book.key,
        "invoice": invoice.number,
        "status": invoice.status,
        "currency": invoice.currency,
        "amount": invoice.amount_due,
        "settlement": invoice.settlement_id,
        "returned": [allocated(lot, quantity) for lot, quantity in returned],
        "revoked": revoked,
        "reason": reason,
        "entry": entry.id,
        "occurred_at": entry.occurred_at,
    }


def _check(invoice: Invoice) -> None:
    """Check that nothing rests on an invoice.

    Raises: NotVoidable.
    """
    due = invoice.amount_due > 0
    if invoice.status != (InvoiceStatus.OPEN if due else InvoiceStatus.PAID):
        raise NotVoidable(f"The invoice {invoice} is {invoice.status}.")
    if invoice.paid or invoice.credited or invoice.written_off:
        raise NotVoidable(f"A part of {invoice} is paid or credited.")
    if invoice.adjustment_id is not None:
        raise NotVoidable(f"{invoice} bills a correction: take that back by another correction.")
    if invoice.settlement is not None:
        fault = voided_cycles.fault_of(invoice.settlement)
    else:
        assert invoice.top_up is not None, "it bills a cycle, a correction or credits"
        is_there = void_sales.is_untouched(invoice.top_up)
        fault = "" if is_there else "credits that it sold are spent, held, frozen or lapsed"
    if fault:
        raise NotVoidable(f"{invoice} cannot be voided: {fault}.")


def _unsell(entry: EntryBuilder, invoice: Invoice) -> Decimal:
    """Revoke credits sold on account; return what they carried. Those that waited for their
    payment had posted nothing.
    """
    assert invoice.top_up is not None, "an invoice without a cycle sold credits"
    unused = void_sales.undo(entry, invoice.top_up)
    if not unused:
        return ZERO
    entry.lines += posting_rules.credit_note(
        unused=unused, earned=ZERO, tax=invoice.due_tax, currency=invoice.currency
    )
    return sum((part.carrying for part in unused), ZERO)
