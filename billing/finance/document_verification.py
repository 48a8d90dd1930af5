"""Verification of issued documents: each is what its rows, and the entry that issued it, say; and
numbers have neither gap nor repeat (docs/decisions.md#d54).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection
from django.db.models import Sum

from aforo.money import ZERO
from billing.invoicing import documents
from billing.models import CreditNote, Invoice, InvoiceLine, IssuedDocument, Settlement
from ledger.entries.chain_verification import BadEntry
from ledger.models import Book, Entry, LedgerEvent, Posting
from ledger.posting_rules import CUSTOMER_CREDIT, RECEIVABLE

# Numbers as the series have assigned them, against those that documents have.
_NUMBERS = """
    WITH assigned AS (
        SELECT s.document, s.prefix || lpad(n::text, greatest(6, length(n::text)), '0') AS number
        FROM billing_invoiceseries s, generate_series(1, s.last_number) AS n
        WHERE s.livemode = %(livemode)s
    ), taken AS (
        SELECT 'INVOICE' AS document, number FROM billing_invoice
        WHERE livemode = %(livemode)s AND number IS NOT NULL
        UNION
        SELECT 'STATEMENT', s.statement_number
        FROM billing_settlement s JOIN ledger_book b ON b.id = s.book_id
        WHERE b.livemode = %(livemode)s AND s.statement_number IS NOT NULL
        UNION
        SELECT 'CREDIT_NOTE', number FROM billing_creditnote
        WHERE livemode = %(livemode)s AND number IS NOT NULL
        UNION
        SELECT document, number FROM billing_issueddocument WHERE livemode = %(livemode)s
    )
    SELECT coalesce(assigned.document, taken.document), coalesce(assigned.number, taken.number),
        taken.number IS NULL
    FROM assigned FULL JOIN taken
        ON taken.document = assigned.document AND taken.number = assigned.number
    WHERE assigned.number IS NULL OR taken.number IS NULL
    ORDER BY 1, 2 LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class _Issued:
    """What is compared with the rows that a document was made of."""

    sha256: str
    number: str
    totals: Mapping[str, str]
    lines: tuple[tuple[str, str], ...]


def check_numbers(*, livemode: bool) -> BadEntry | None:
    """Return the first number of a mode that is missing, or that no series has assigned, if any."""
    with connection.cursor() as cursor:
        cursor.execute(_NUMBERS, {"livemode": livemode})
        found = cursor.fetchone()
    if found is None:
        return None
    document, number, is_missing = found
    reason = "no document has this number" if is_missing else "its series has not assigned it"
    return BadEntry(_called(document, number), reason)


def check_documents(book: Book) -> Iterator[tuple[str, str | None]]:
    """Return each issued document of a book with its fault, if any, and each invoice and statement
    that says something else.
    """
    issued = dict[UUID, _Issued]()
    for kept in IssuedDocument.objects.filter(book=book).order_by("pk").iterator(500):
        named = _called(kept.document, kept.number)
        if documents.digest(kept.body) != kept.sha256:
            yield named, "its text has another hash"
            return
        content: dict[str, Any] = msgspec.json.decode(kept.body)
        yield named, _sums(content)
        lines = tuple((line["kind"], line["amount"]) for line in content["lines"])
        issued[kept.subject] = _Issued(kept.sha256, content["number"], content["totals"], lines)
    yield from _check_invoices(book, issued)
    yield from _check_statements(book, issued)
    yield from _check_notes(book, issued)


def _called(document: str, number: str) -> str:
    return f"{document.lower().replace('_', ' ')} {number}"


def _sums(content: Mapping[str, Any]) -> str | None:
    """Return the fault of a document's sums, if any: lines, and payers, come to its total."""
    total = Decimal(content["totals"]["total"])
    for name in ("lines", "payers"):
        added = sum((Decimal(each["amount"]) for each in content.get(name, ())), ZERO)
        if name in content and added != total:
            return f"its total is {total:f}, its {name} come to {added:f}"
    return None


def _check_invoices(book: Book, issued: Mapping[UUID, _Issued]) -> Iterator[tuple[str, str | None]]:
    """Compare issued invoices with their documents, and these with their entries."""
    entries = Entry.objects.filter(book=book, event=LedgerEvent.INVOICE, document__has_key="sha256")
    hashes = dict(entries.values_list("document__invoice", "document__sha256"))
    lines = dict[UUID, list[tuple[str, Decimal]]]()
    rows = InvoiceLine.objects.filter(invoice__customer=book.pk, invoice__number__isnull=False)
    for row in rows.order_by("invoice", "position"):
        lines.setdefault(row.invoice_id, []).append((row.kind, row.amount))
    # What an earlier version issued has none, until the sweep freezes it.
    found = Invoice.objects.filter(customer=book.pk, number__isnull=False, content__isnull=False)
    for each in found.order_by("pk").iterator(500):
        named, document = _called("INVOICE", str(each.number)), issued.get(each.pk)
        if document is None:
            yield named, "its document is missing"
        elif hashes.get(document.number, document.sha256) != document.sha256:
            yield named, "its document is not the one that its entry names"
        else:
            rows_say = {
                "subtotal": each.subtotal,
                "discount": each.discount,
                "tax": each.tax,
                "total": each.total.amount,
                "from_wallet": each.from_wallet,
                "amount_due": each.amount_due,
            }
            yield named, _difference(document, str(each.number), rows_say, lines.get(each.pk, []))


def _check_statements(
    book: Book, issued: Mapping[UUID, _Issued]
) -> Iterator[tuple[str, str | None]]:
    found = Settlement.objects.filter(
        book=book, statement_number__isnull=False, content__isnull=False
    )
    for each in found.order_by("pk").iterator(500):
        named, document = _called("STATEMENT", str(each.statement_number)), issued.get(each.pk)
        if document is None:
            yield named, "its document is missing"
        else:
            names = ("subtotal", "discount", "tax", "total", "arrears")
            rows_say = {name: Decimal(each.totals[name]) for name in names}
            yield named, _difference(document, str(each.statement_number), rows_say, None)


def _check_notes(book: Book, issued: Mapping[UUID, _Issued]) -> Iterator[tuple[str, str | None]]:
    """Compare credit notes with their documents, and with what their entries gave back."""
    given = dict[tuple[UUID, str], Decimal]()
    found = list(CreditNote.objects.filter(customer=book.pk).order_by("pk"))
    lines = Posting.objects.filter(
        entry__in={note.entry_id for note in found}, credit__in=[RECEIVABLE, CUSTOMER_CREDIT]
    )
    for entry, account, total in lines.values_list("entry", "credit").annotate(Sum("amount")):
        given[entry, account] = total
    for note in found:
        named, document = _called("CREDIT_NOTE", str(note)), issued.get(note.pk)
        same = [each for each in found if each.entry_id == note.entry_id]
        if note.number is None:
            continue
        if document is None:
            yield named, "its document is missing"
            continue
        for name, account in (("credited", RECEIVABLE), ("returned", CUSTOMER_CREDIT)):
            says = sum((getattr(each, name) for each in same), ZERO)
            posted = given.get((note.entry_id, account), ZERO)
            if says != posted:
                yield named, f"its {name} is {says:f}, its entry posted {posted:f} to {account}"
        rows_say = {"tax": note.tax, "total": note.amount}
        yield named, _difference(document, note.number, rows_say, None)


def _difference(
    document: _Issued,
    number: str,
    figures: Mapping[str, Decimal],
    lines: list[tuple[str, Decimal]] | None,
) -> str | None:
    """Return how rows differ from the document that was issued of them, if they do."""
    if document.number != number:
        return f"its document has the number {document.number}"
    for name, figure in figures.items():
        if Decimal(document.totals[name]) != figure:
            return f"its {name} is {figure:f}, its document says {document.totals[name]}"
    if lines is not None and [(kind, Decimal(text)) for kind, text in document.lines] != lines:
        return "its lines are not those of its document"
    return None
