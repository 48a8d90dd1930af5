"""Documents of invoices and statements that a version issued which did not keep them yet."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from billing.invoicing import invoice_documents, statement_documents
from billing.models import Invoice, Settlement
from ledger.entries import books


def undocumented_invoices() -> QuerySet[Invoice]:
    """Return the issued invoices without a document."""
    return Invoice.objects.filter(number__isnull=False, content__isnull=True)


def undocumented_statements() -> QuerySet[Settlement]:
    """Return the numbered statements without a document."""
    return Settlement.objects.filter(statement_number__isnull=False, content__isnull=True)


def freeze_missing(*, book_id: int) -> int:
    """Freeze the documents that a customer's invoices and statements lack; return how many."""
    invoices = undocumented_invoices().filter(customer=book_id).values_list("pk", flat=True)
    statements = undocumented_statements().filter(book=book_id).values_list("pk", flat=True)
    for invoice_id in invoices:
        _freeze_invoice(book_id, invoice_id)
    for settlement_id in statements:
        _freeze_statement(book_id, settlement_id)
    return len(invoices) + len(statements)


@transaction.atomic
def _freeze_invoice(book_id: int, invoice_id: UUID) -> None:
    book = books.lock_book(book_id=book_id)
    found = undocumented_invoices().select_related("customer", "settlement")
    invoice = found.filter(pk=invoice_id).first()
    if invoice is not None:
        invoice_documents.freeze(book=book, invoice=invoice)
        invoice.save(update_fields=["content"])


@transaction.atomic
def _freeze_statement(book_id: int, settlement_id: UUID) -> None:
    book = books.lock_book(book_id=book_id)
    found = undocumented_statements().select_related("subscription__customer")
    settlement = found.filter(pk=settlement_id).first()
    if settlement is not None:
        statement_documents.freeze(book=book, settlement=settlement)
        settlement.save(update_fields=["content"])
