"""Invoices: drafted with the settlement, then numbered without gaps and posted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from aforo import money
from aforo.database import bulk, joined
from aforo.errors import Conflict, NotFound
from aforo.money import ZERO
from aforo.periods import Period
from aforo.sandbox.services import now_for
from aforo.webhooks.models import EventType
from billing import locks
from billing.calculation import presentation
from billing.calculation.calculation import Calculation
from billing.invoicing import document_mail, invoice_documents
from billing.models import (
    Customer,
    Invoice,
    InvoiceLine,
    InvoiceStatus,
    Settlement,
    SettlementAdjustment,
)
from billing.subscriptions import plan_terms
from ledger import posting_rules
from ledger.entries import books, entries
from ledger.models import Book, LedgerEvent
from wallets import outbox

DUE_AFTER = timedelta(days=30)
_LINE = [
    "invoice_id", "position", "kind", "charge", "description", "quantity", "unit_price", "amount",
    "steps",
]  # fmt: skip
_ISSUED = ["number", "status", "issued_at", "due_at", "content"]


class UnknownInvoice(NotFound):
    """No invoice of the key's mode has this number or id.

    Take it from GET /v1/invoices.
    """

    default_code = "unknown_invoice"


class NotOpen(Conflict):
    """The invoice is a draft, void or paid in full, so it takes no payment and no write-off.

    Read it by GET /v1/invoices/{reference}.
    """

    default_code = "invoice_not_open"


class NotDraft(Conflict):
    """The invoice has its number already.

    Nothing is left to do: read it by GET /v1/invoices/{reference}.
    """

    default_code = "invoice_not_draft"


class InvoiceInDraft(Conflict):
    """The invoice has no number yet, so nothing can rest on it.

    Finalize it by POST /v1/invoices/{reference}/finalize, or wait until it finalizes by itself.
    """

    default_code = "invoice_in_draft"


def draft_invoice(
    *,
    customer: Customer,
    settlement: Settlement,
    draft: Calculation,
    adjustment: SettlementAdjustment | None = None,
    ahead: Period | None = None,
) -> Invoice:
    """Write the invoice of a settled cycle, or of what an adjustment adds to it, without a number
    yet; `ahead` is the period of its fees in advance. The book must be locked.
    """
    from_wallet = sum(draft.from_wallet.values(), ZERO)
    invoice = Invoice(
        livemode=customer.book.livemode,
        customer=customer,
        settlement=settlement if adjustment is None else None,
        adjustment=adjustment,
        currency=draft.currency,
        starts_at=settlement.starts_at,
        ends_at=settlement.ends_at,
        subtotal=draft.subtotal,
        discount=draft.discount,
        tax=draft.tax,
        total=draft.total,
        from_wallet=from_wallet,
        amount_due=draft.to_invoice,
        due_tax=sum((p.tax for p in draft.payers if p.kind == "INVOICE"), ZERO),
        finalizes_at=None if adjustment is not None else _finalizes_at(settlement),
        content=presentation.content(draft, ahead),
    )
    invoice.save(force_insert=True)
    bulk.insert_rows(
        InvoiceLine,
        _LINE,
        [
            [
                invoice.pk, position, line.kind, line.charge, line.description, line.quantity,
                line.unit_price, line.amount, [presentation.step(each) for each in line.steps],
            ]
            for position, line in enumerate(draft.lines)
        ],
    )  # fmt: skip
    return invoice


def _finalizes_at(settlement: Settlement) -> datetime | None:
    """Return until when the invoice of a settled cycle stays a draft; None where it does not."""
    hours = settlement.subscription.version.draft_hours
    if hours == 0:
        return None
    assert settlement.settled_at is not None, "a settled cycle"
    return settlement.settled_at + timedelta(hours=hours)


def posted(invoice: Invoice) -> list[posting_rules.PostingLine]:
    """Return what issuing an invoice of usage posts: its net was unbilled before."""
    net = invoice.amount_due - invoice.due_tax
    return posting_rules.invoice_issued(net=net, tax=invoice.due_tax, currency=invoice.currency)


def issue(
    *, book: Book, invoice: Invoice, lines: Sequence[posting_rules.PostingLine], now: datetime
) -> None:
    """Assign a draft its number, freeze its document, and post what it changes. The book must be
    locked.
    """
    invoice.number = locks.next_number(livemode=invoice.livemode)
    invoice.status = InvoiceStatus.OPEN if invoice.amount_due > 0 else InvoiceStatus.PAID
    invoice.issued_at = now
    invoice.due_at = now + DUE_AFTER
    document = invoice_documents.freeze(book=book, invoice=invoice)
    bulk.update_rows(
        Invoice, "id", _ISSUED, [[invoice.pk, *(getattr(invoice, name) for name in _ISSUED)]]
    )
    entries.append(
        [
            entries.EntryDraft(
                book=book,
                event=LedgerEvent.INVOICE,
                occurred_at=now,
                document={
                    "invoice": invoice.number,
                    "due": money.plain(invoice.amount_due),
                    "sha256": document.sha256,
                    **_facts(invoice),
                },
                lines=lines,
            )
        ]
    )
    facts = {
        "invoice": invoice.number,
        "amount": invoice.amount_due,
        "currency": invoice.currency,
        "status": invoice.status,
        "due_at": invoice.due_at,
    }
    outbox.notify(book, EventType.INVOICE_FINALIZED, facts, now)
    document_mail.tell(
        book=book, customer=invoice.customer, kept=document, now=now, invoice=invoice
    )


def _facts(invoice: Invoice) -> dict[str, object]:
    """Return the entry's facts beside its figures: the plan, and the tax in it."""
    adjustment = invoice.adjustment
    settlement = invoice.settlement if adjustment is None else adjustment.settlement
    if settlement is None:
        return {}
    rate = settlement.totals["tax_rate"]
    ran_on = plan_terms.of_cycle(settlement.subscription, settlement.cycle)
    product = ran_on.version.plan.code
    if rate is None:
        return {"product": product}
    return {
        "product": product,
        **presentation.rate_facts(rate),
        # What a correction adds is taxed at the settlement's own rate alone.
        **presentation.several(settlement.totals.get("taxes", []) if adjustment is None else []),
    }


_DRAFTS = """
    WHERE t.customer_id = %s AND t.status = 'DRAFT'
        AND (t.finalizes_at IS NULL OR t.finalizes_at <= %s)
    ORDER BY t.created_at, t.id
"""


def finalize_drafts(*, book_id: int, now: datetime) -> int:
    """Assign the drafts of a book that are to be drafts no longer, also those that a killed run
    left, their numbers and post them; return how many there were.

    The book is locked first, the counter of the series last and briefly, so that numbering never
    holds up the settlement of others (docs/decisions.md#d1).
    """
    drafts = bulk.select_models(Invoice, _DRAFTS, [book_id, now])
    for draft in drafts:
        _finalize(book_id, draft.pk, now)
    return len(drafts)


def finalize(*, livemode: bool, reference: str) -> Invoice:
    """Assign a draft its number now; return the invoice, read anew.

    Raises: UnknownInvoice, NotDraft.
    """
    draft = get_invoice(livemode=livemode, reference=reference)
    if not _finalize(draft.customer_id, draft.pk, now_for(draft.customer.book)):
        raise NotDraft(f"The invoice {draft} is no draft any more.")
    return get_invoice(livemode=livemode, reference=str(draft.pk))


@transaction.atomic
def _finalize(book_id: int, invoice_id: UUID, now: datetime) -> bool:
    """Issue a draft, unless another has meanwhile, and return whether it was one; one with nothing
    due is PAID at once.
    """
    book = books.lock_book(book_id=book_id)
    (invoice,) = joined.select(
        Invoice,
        ["customer", "settlement__subscription__version__plan"],
        "WHERE t.id = %s",
        [invoice_id],
    )
    if invoice.status != InvoiceStatus.DRAFT:
        return False
    issue(book=book, invoice=invoice, lines=posted(invoice), now=now)
    return True


def get_invoice(*, livemode: bool, reference: str) -> Invoice:
    """Return an invoice by its id or its number.

    Raises: UnknownInvoice.
    """
    found = Invoice.objects.filter(livemode=livemode).select_related("customer__book")
    try:
        invoice = found.filter(pk=UUID(reference)).first()
    except ValueError:
        invoice = found.filter(number=reference).first() if "\x00" not in reference else None
    if invoice is None:
        raise UnknownInvoice(f"There is no invoice {reference}.")
    return invoice
