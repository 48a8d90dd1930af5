"""Credit notes as documents: their rows, and, last, their numbers and frozen content
(docs/decisions.md#d501).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction

from aforo import money
from aforo.errors import NotFound
from aforo.money import ZERO, plain
from billing import locks
from billing.invoicing import document_mail, documents, tax_wording
from billing.models import CreditNote, Document, Invoice, SettlementAdjustment
from ledger.entries import books
from ledger.models import Book


class UnknownCreditNote(NotFound):
    """No credit note of the key's mode has this number or id.

    Take it from GET /v1/credit-notes.
    """

    default_code = "unknown_credit_note"


def write(
    *,
    id: UUID,  # noqa: A002
    invoice: Invoice,
    tax: Decimal,
    credited: Decimal,
    returned: Decimal,
    lines: Sequence[dict[str, Any]],
    reason: str,
    now: datetime,
    entry_id: UUID,
    unearned: Decimal = ZERO,
    revoked: Decimal = ZERO,
    adjustment: SettlementAdjustment | None = None,
) -> CreditNote:
    """Write the note of what an entry has taken back of an invoice, without a number yet."""
    return CreditNote.objects.create(
        id=id,
        livemode=invoice.livemode,
        customer_id=invoice.customer_id,
        invoice=invoice,
        adjustment=adjustment,
        currency=invoice.currency,
        amount=credited + returned,
        tax=tax,
        unearned=unearned,
        revoked=revoked,
        credited=credited,
        returned=returned,
        lines=list(lines),
        reason=reason,
        created_at=now,
        entry_id=entry_id,
    )


def number_notes(*, book_id: int) -> int:
    """Assign its number to each credit note of a customer that waits for one, once; return how
    many there were.
    """
    waiting = CreditNote.objects.filter(customer=book_id, number=None)
    ids = list(waiting.order_by("created_at", "pk").values_list("pk", flat=True))
    for note_id in ids:
        _number(book_id, note_id)
    return len(ids)


@transaction.atomic
def _number(book_id: int, note_id: UUID) -> None:
    """Issue a note, unless it was meanwhile; then no number is used up."""
    book = books.lock_book(book_id=book_id)
    waiting = CreditNote.objects.filter(pk=note_id, number=None)
    note = waiting.select_related("invoice", "customer").first()
    if note is not None:
        issue(book=book, note=note)


def issue(*, book: Book, note: CreditNote) -> None:
    """Assign a note its number, freeze its document, and write its mail. The book must be locked,
    and nothing else is locked after it.
    """
    note.number = locks.next_number(livemode=note.livemode, document=Document.CREDIT_NOTE)
    note.issued_at = note.created_at
    kept = documents.freeze(
        book=book,
        customer=note.customer,
        document=Document.CREDIT_NOTE,
        number=note.number,
        subject=note.pk,
        issued_at=note.issued_at,
        content=_content(note),
    )
    note.save(update_fields=["number", "issued_at"])
    document_mail.tell(
        book=book, customer=note.customer, kept=kept, now=note.issued_at, invoice=note.invoice
    )


def _content(note: CreditNote) -> dict[str, Any]:
    invoice = note.invoice
    taxes = taxes_of(note)
    said = [(line["description"], Decimal(line["amount"]), "ADJUSTMENT") for line in note.lines]
    said += [(tax["name"], Decimal(tax["tax"]), "TAX") for tax in taxes if tax["tax"] != "0"]
    of_invoice = invoice.content or {}
    assert invoice.issued_at is not None, "a note is of an issued invoice"
    return {
        "lines": [
            {
                "kind": kind, "charge": "", "description": description, "quantity": None,
                "unit_price": None, "amount": plain(amount), "period": None, "steps": [],
            }
            for description, amount, kind in said
        ],
        "taxes": taxes,
        "currency": note.currency,
        "invoice": invoice.number,
        "period": {
            "starts_at": invoice.starts_at.isoformat(),
            "ends_at": invoice.ends_at.isoformat(),
        },
        "totals": {
            "subtotal": plain(note.amount - note.tax),
            "discount": "0",
            "tax": plain(note.tax),
            "total": plain(note.amount),
        },
        "notes": [
            f"For the invoice {invoice.number} of {invoice.issued_at:%Y-%m-%d}: {note.reason}",
            *tax_wording.sentences(of_invoice.get("taxes", [])),
        ],
    }  # fmt: skip


def taxes_of(note: CreditNote) -> list[dict[str, Any]]:
    """Return the tax of a note by the rates of its invoice, as that has them, so that the parts
    come to its tax.
    """
    rates: list[dict[str, Any]] = (note.invoice.content or {}).get("taxes", [])
    if not rates:
        if note.tax == 0:
            return []
        rates = [{"name": "Tax", "percent": "0", "net": "1", "tax": "1"}]
    taxes = _parts(note.tax, [Decimal(each["tax"]) for each in rates], note.currency)
    nets = _parts(note.amount - note.tax, [Decimal(each["net"]) for each in rates], note.currency)
    return [
        {**each, "net": plain(net), "tax": plain(tax)}
        for each, net, tax in zip(rates, nets, taxes, strict=True)
    ]


def _parts(total: Decimal, weights: Sequence[Decimal], currency: str) -> list[Decimal]:
    """Split an amount by weight into payable parts, rounded cumulatively; the last takes the
    rest.
    """
    whole, done, parts = sum(weights, ZERO), ZERO, list[Decimal]()
    for n, _ in enumerate(weights, start=1):
        upto = sum(weights[:n], ZERO)
        end = total
        if n < len(weights) and whole > 0:
            end = money.round_amount(money.proportion(total, upto, whole), currency)
        parts.append(end - done)
        done = end
    return parts


def get_note(*, livemode: bool, reference: str) -> CreditNote:
    """Return a credit note by its id or its number.

    Raises: UnknownCreditNote.
    """
    found = CreditNote.objects.filter(livemode=livemode).select_related("customer__book", "invoice")
    try:
        note = found.filter(pk=UUID(reference)).first()
    except ValueError:
        note = found.filter(number=reference).first() if "\x00" not in reference else None
    if note is None:
        raise UnknownCreditNote(f"There is no credit note {reference}.")
    return note
