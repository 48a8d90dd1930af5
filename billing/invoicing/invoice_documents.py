"""What the document of an invoice says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aforo.money import plain
from billing.invoicing import documents, tax_wording
from billing.models import Document, Invoice, InvoiceLine, IssuedDocument
from ledger.models import Book

# What pays an invoice beside credits.
DUE = "INVOICE"


def freeze(*, book: Book, invoice: Invoice) -> IssuedDocument:
    """Freeze the document of an invoice that has its number and dates. The book must be locked."""
    content: dict[str, Any] = invoice.content or _of_earlier_version(invoice)
    invoice.content = content
    assert invoice.number is not None, "an issued invoice has its number"
    assert invoice.issued_at is not None, "and its date"
    return documents.freeze(
        book=book,
        customer=invoice.customer,
        document=Document.INVOICE,
        number=invoice.number,
        subject=invoice.pk,
        issued_at=invoice.issued_at,
        content={
            **content,
            "payers": documents.named(content["payers"]),
            "currency": invoice.currency,
            "due_at": None if invoice.due_at is None else invoice.due_at.isoformat(),
            "period": {
                "starts_at": invoice.starts_at.isoformat(),
                "ends_at": invoice.ends_at.isoformat(),
            },
            "totals": {
                "subtotal": plain(invoice.subtotal),
                "discount": plain(invoice.discount),
                "tax": plain(invoice.tax),
                "total": plain(invoice.total.amount),
                "from_wallet": plain(invoice.from_wallet),
                "amount_due": plain(invoice.amount_due),
            },
            "notes": tax_wording.sentences(content["taxes"]),
        },
    )


def of_credits(
    *, lines: Sequence[InvoiceLine], taxes: Sequence[dict[str, Any]], invoice: Invoice
) -> dict[str, Any]:
    """Return what the invoice of credits sold on account says beside its totals."""
    shown: list[dict[str, Any]] = [
        {
            "kind": str(line.kind),
            "charge": "",
            "description": line.description,
            "quantity": None,
            "unit_price": None,
            "amount": plain(line.amount),
            "period": None,
            "steps": [],
        }
        for line in lines
    ]
    due = {
        "kind": DUE,
        "lot": None,
        "amount": plain(invoice.amount_due),
        "tax": plain(invoice.due_tax),
    }
    return {"lines": shown, "taxes": list(taxes), "payers": [due], "units": []}


def _of_earlier_version(invoice: Invoice) -> dict[str, Any]:
    """Return what an invoice says that was drafted before documents were kept: its credits by kind,
    since its lots were not written with it.
    """
    lines = [
        {
            "kind": line.kind,
            "charge": line.charge,
            "description": line.description,
            "quantity": None if line.quantity is None else plain(line.quantity),
            "unit_price": None if line.unit_price is None else plain(line.unit_price),
            "amount": plain(line.amount),
            "period": None,
            "steps": line.steps,
        }
        for line in InvoiceLine.objects.filter(invoice=invoice).order_by("position")
    ]
    totals = {} if invoice.settlement is None else invoice.settlement.totals
    paid = [{"kind": "CREDITS", "lot": None, "amount": plain(invoice.from_wallet), "tax": "0"}]
    due = {
        "kind": DUE,
        "lot": None,
        "amount": plain(invoice.amount_due),
        "tax": plain(invoice.due_tax),
    }
    return {
        "lines": lines,
        "taxes": totals.get("taxes", []),
        "payers": [each for each in [*paid, due] if each["amount"] != "0"],
        "units": totals.get("from_units", []),
    }
