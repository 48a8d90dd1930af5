"""Documents that are mailed: the file that goes with a mail, and mails that somebody asks for."""

from __future__ import annotations

from django.db import transaction

from aforo.errors import Conflict
from aforo.sandbox.services import now_for
from billing.invoicing import document_files, document_mail
from billing.mail import Attachment
from billing.models import Customer, FileFormat, Invoice, IssuedDocument, Mail
from ledger.entries import books


class NoAddress(Conflict):
    """The customer has no e-mail address, so nothing can be mailed to it.

    Set its `email` by PATCH /v1/customers/{id}, and send again.
    """

    default_code = "no_address"


def attachment(kept: IssuedDocument) -> Attachment:
    """Return a document as the file of a mail: the PDF, or the page where there is no PDF here."""
    try:
        file = document_files.file_of(kept, FileFormat.PDF)
    except document_files.PdfUnavailable:
        file = document_files.file_of(kept, FileFormat.HTML)
    form = FileFormat(file.format)
    return Attachment(
        name=f"{kept.number}.{form.lower()}",
        content=bytes(file.content),
        content_type=document_files.CONTENT_TYPES[form].partition(";")[0],
    )


def send_invoice(*, livemode: bool, invoice: str, key: str) -> Mail:
    """Mail an issued invoice, named by its id or number, to its customer again, once per key.

    Raises: UnknownInvoice, InvoiceInDraft, NoAddress.
    """
    kept = document_files.issued_invoice(livemode=livemode, reference=invoice)
    return send(kept=kept, key=key)


@transaction.atomic
def send(*, kept: IssuedDocument, key: str) -> Mail:
    """Mail a document to its customer again, also one that wants none by itself, once per key.

    Raises: NoAddress.
    """
    book = books.lock_book(book_id=kept.book_id)
    customer = Customer.objects.get(pk=book.pk)
    if not customer.email:
        raise NoAddress(f"The customer {book.key} has no e-mail address.")
    customer.book = book
    sameness = f"document:{kept.pk}:{key}"
    document_mail.write(
        customer=customer,
        kept=kept,
        now=now_for(book),
        invoice=Invoice.objects.filter(pk=kept.subject).first(),
        sameness=sameness,
    )
    return Mail.objects.get(sameness=sameness)
