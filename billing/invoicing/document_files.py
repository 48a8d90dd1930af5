"""Documents as files: made of what was issued at their first reading, and kept as made
(docs/decisions.md#d412).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec

from aforo.errors import DomainError, NotFound
from billing.invoicing import (
    credit_note_documents,
    document_pages,
    earlier_documents,
    invoices,
)
from billing.models import (
    Document,
    DocumentFile,
    FileFormat,
    Invoice,
    InvoiceStatus,
    IssuedDocument,
    Settlement,
)

CONTENT_TYPES = {FileFormat.HTML: "text/html; charset=utf-8", FileFormat.PDF: "application/pdf"}


class PdfUnavailable(DomainError):
    """This server cannot make PDF files: WeasyPrint, or the system's Pango, is not installed.

    Read the document as HTML, or have the operator install the extra `pdf` and Pango.
    """

    status = 503
    title = "No PDF here"
    default_code = "pdf_unavailable"


class NoDocument(NotFound):
    """The settled cycle has no document: nothing was charged, or its document has no number yet.

    Read the settlement by GET /v1/settlements/{id}.
    """

    default_code = "no_document"


def of_invoice(*, livemode: bool, reference: str, form: FileFormat) -> DocumentFile:
    """Return the document of an issued invoice, named by its id or number, as a file.

    Raises: UnknownInvoice, InvoiceInDraft, PdfUnavailable.
    """
    return file_of(issued_invoice(livemode=livemode, reference=reference), form)


def issued_invoice(*, livemode: bool, reference: str) -> IssuedDocument:
    """Return the document of an issued invoice, named by its id or number.

    Raises: UnknownInvoice, InvoiceInDraft.
    """
    invoice = invoices.get_invoice(livemode=livemode, reference=reference)
    if invoice.status == InvoiceStatus.DRAFT:
        raise invoices.InvoiceInDraft("The invoice has no number yet, so there is no document.")
    if invoice.content is None:
        earlier_documents.freeze_missing(book_id=invoice.customer_id)
    return IssuedDocument.objects.get(subject=invoice.pk)


def of_settlement(*, settlement: Settlement, form: FileFormat) -> DocumentFile:
    """Return the document of a settled cycle as a file: its statement, or its invoice.

    Raises: NoDocument, PdfUnavailable.
    """
    invoice = Invoice.objects.filter(settlement=settlement).values_list("pk", flat=True)
    kept = IssuedDocument.objects.filter(subject__in=[settlement.pk, *invoice]).first()
    if kept is None:
        raise NoDocument("The settlement has no document, or none yet.")
    return file_of(kept, form)


def of_credit_note(*, livemode: bool, reference: str, form: FileFormat) -> DocumentFile:
    """Return the document of a credit note, named by its id or number, as a file.

    Raises: UnknownCreditNote, PdfUnavailable.
    """
    note = credit_note_documents.get_note(livemode=livemode, reference=reference)
    if note.number is None:
        credit_note_documents.number_notes(book_id=note.customer_id)
    return file_of(IssuedDocument.objects.get(subject=note.pk), form)


def file_of(kept: IssuedDocument, form: FileFormat) -> DocumentFile:
    """Return a document as a file, made now if nobody has read it before.

    Raises: PdfUnavailable.
    """
    found = DocumentFile.objects.filter(document=kept, format=form).first()
    if found is not None:
        return found
    content = _MAKERS[form](kept)
    # Who reads it at the same moment may have been faster: theirs counts.
    made, _ = DocumentFile.objects.get_or_create(
        document=kept,
        format=form,
        defaults={"content": content, "sha256": hashlib.sha256(content).hexdigest()},
    )
    return made


def _html(kept: IssuedDocument) -> bytes:
    content: dict[str, Any] = msgspec.json.decode(kept.body)
    return document_pages.page(content, stages=_stages(kept)).encode()


def _pdf(kept: IssuedDocument) -> bytes:
    """Print the very page that people see."""
    return printed(bytes(file_of(kept, FileFormat.HTML).content).decode())


def printed(page: str) -> bytes:
    """Return a page as PDF.

    Raises: PdfUnavailable.
    """
    try:
        # Slow to import, and it needs a library of the system.
        from weasyprint import HTML
    except (ImportError, OSError) as error:
        raise PdfUnavailable("This server cannot make PDF files; read it as HTML.") from error
    made: bytes = HTML(string=page).write_pdf()
    return made


_MAKERS: dict[FileFormat, Callable[[IssuedDocument], bytes]] = {
    FileFormat.HTML: _html,
    FileFormat.PDF: _pdf,
}


def _stages(kept: IssuedDocument) -> list[dict[str, Any]]:
    """Return the trace of the settlement that a document is of, which is kept as well."""
    settlement = None
    if kept.document == Document.INVOICE:
        invoice = Invoice.objects.select_related("settlement").get(pk=kept.subject)
        settlement = invoice.settlement
    elif kept.document == Document.STATEMENT:
        settlement = Settlement.objects.get(pk=kept.subject)
    return [] if settlement is None else settlement.stages
