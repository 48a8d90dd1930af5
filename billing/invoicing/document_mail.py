"""The mail that brings a document: written as it is issued, once (docs/decisions.md#d540)."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from django.conf import settings

from billing import mail
from billing.invoicing import document_pages
from billing.models import CollectionMethod, Customer, Document, Invoice, IssuedDocument
from ledger.models import Book

_NAMES = {
    Document.INVOICE: "invoice",
    Document.STATEMENT: "statement",
    Document.CREDIT_NOTE: "credit note",
}


def tell(
    *,
    book: Book,
    customer: Customer,
    kept: IssuedDocument,
    now: datetime,
    invoice: Invoice | None = None,
) -> None:
    """Write the mail of a document that is issued now, unless the company or the customer wants
    none. The transaction that issues it must be open.
    """
    if settings.MAIL_DOCUMENTS and customer.mail_documents:
        customer.book = book
        write(
            customer=customer, kept=kept, now=now, invoice=invoice, sameness=f"document:{kept.pk}"
        )


def write(
    *,
    customer: Customer,
    kept: IssuedDocument,
    now: datetime,
    invoice: Invoice | None,
    sameness: str,
) -> None:
    """Write a mail with a document, once by its `sameness`; it says what the document says."""
    name = f"{_NAMES[Document(kept.document)]} {kept.number}"
    content: dict[str, Any] = msgspec.json.decode(kept.body)
    lines = [
        f"Dear {customer.name},",
        f"please find attached our {name} of {_amount(content, 'total')}.",
        *_due(content, customer),
    ]
    mail.write(
        customer=customer,
        invoice=invoice,
        document=kept,
        subject=f"{name[0].upper()}{name[1:]} of {content['seller']['name']}"[:200],
        text="\n\n".join(lines) + "\n",
        sameness=sameness,
        now=now,
    )


def _due(content: dict[str, Any], customer: Customer) -> list[str]:
    """Return how, and until when, an invoice is paid, if anything is due."""
    if Decimal(content["totals"].get("amount_due", 0)) == 0 or not content.get("due_at"):
        return []
    due = _amount(content, "amount_due")
    if customer.collection_method == CollectionMethod.CHARGE_AUTOMATICALLY:
        return [f"{due} is charged to your payment method; there is nothing for you to do."]
    zone = ZoneInfo(content["customer"]["timezone"])
    due_at = datetime.fromisoformat(content["due_at"]).astimezone(zone)
    return [f"{due} is due by {due_at.day} {due_at:%B %Y}. Please name the number as you pay."]


def _amount(content: dict[str, Any], name: str) -> str:
    currency = content["currency"]
    return f"{document_pages.shown(Decimal(content['totals'][name]), currency)} {currency}"
