"""Credits sold on account: their invoice."""

from __future__ import annotations

from decimal import Decimal

from billing.invoicing import invoice_documents, invoices, sale_tax
from billing.models import Customer, Invoice, InvoiceLine, LineKind
from ledger.models import Book
from wallets.models import TopUp

SOLD = "Prepaid credits"


def invoice_top_up(book: Book, top_up: TopUp) -> str:
    """Invoice credits sold on account; return the number. The book must be locked.

    The invoice itself posts nothing: credits that are there at once have posted the receivable,
    and credits that are held back are owed to nobody yet (docs/accounting.md#e3 and #e4).
    """
    now = top_up.created_at
    invoice = Invoice.objects.create(
        livemode=book.livemode,
        customer=Customer.objects.get(book=book),
        top_up=top_up,
        currency=top_up.currency,
        starts_at=now,
        ends_at=now,
        subtotal=top_up.amount,
        tax=top_up.tax,
        total=top_up.total,
        amount_due=top_up.total,
        due_tax=top_up.tax,
    )
    lines = [InvoiceLine(kind=LineKind.CREDITS, description=SOLD, amount=top_up.amount)]
    taxes = sale_tax.stated(top_up)
    lines += [
        InvoiceLine(kind=LineKind.TAX, description=each["name"], amount=Decimal(each["tax"]))
        for each in taxes
        if each["tax"] != "0"
    ]
    for position, line in enumerate(lines):
        line.invoice, line.position = invoice, position
    InvoiceLine.objects.bulk_create(lines)
    invoice.content = invoice_documents.of_credits(lines=lines, taxes=taxes, invoice=invoice)
    invoice.save(update_fields=["content"])
    invoices.issue(book=book, invoice=invoice, lines=(), now=now)
    assert invoice.number is not None, "an issued invoice has its number"
    return invoice.number
