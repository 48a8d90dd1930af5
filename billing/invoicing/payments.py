"""Money received for invoices: in full, in part, or more than was due."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from aforo import payable
from aforo.money import ZERO
from aforo.protocol.idempotency import Answer
from aforo.sandbox.services import now_for
from aforo.webhooks.models import EventType
from billing.invoicing import write_offs
from billing.invoicing.invoices import NotOpen, get_invoice
from billing.models import BankPayment, Invoice, InvoicePayment, InvoiceStatus
from ledger import posting_rules
from ledger.entries import entries
from ledger.models import Book, LedgerEvent
from wallets import outbox, port
from wallets.models import PaidBy, TopUpStatus
from wallets.operations import idempotency
from wallets.top_ups import sales, ways

PAY = "billing.invoices.pay"
TAKES_PAYMENT = (InvoiceStatus.OPEN, InvoiceStatus.UNCOLLECTIBLE)


def pay(
    *,
    livemode: bool,
    invoice: str,
    amount: Decimal,
    reference: str,
    key: str,
    method: str | None = None,
    bank_payment: BankPayment | None = None,
) -> Answer:
    """Record money received for an open invoice, named by its id or number; by bank, unless
    `method` names a processor's.

    Paid in full it is PAID, and credits sold on account are delivered; an overpayment is unapplied
    (2220). What was written off is recovered (6210).
    Raises: UnknownInvoice, NotOpen, Invalid (`not_payable`).
    """
    found = get_invoice(livemode=livemode, reference=invoice)
    payable.check(amount, found.currency, pointer="/amount")
    said = {} if method is None else {"method": method}
    paid_by = PaidBy.BANK if method is None else ways.by_method(method)
    return idempotency.once(
        livemode=livemode,
        customer_id=found.customer.book.key,
        key=key,
        operation=PAY,
        content={"invoice": found.pk, "amount": amount, "reference": reference, **said},
        make=lambda book, operation_id: _receive(
            book=book,
            invoice_id=found.pk,
            id=operation_id,
            amount=amount,
            reference=reference,
            paid_by=paid_by,
            bank_payment=bank_payment,
        ),
        status=200,
    )


def take_charge(
    *,
    book: Book,
    invoice_id: UUID,
    id: UUID,  # noqa: A002
    amount: Decimal,
    reference: str,
) -> InvoicePayment:
    """Record what the gateway charged for an invoice; where nothing of it is open any more, all of
    it is unapplied (2220). The book must be locked.
    """
    _receive(
        book=book,
        invoice_id=invoice_id,
        id=id,
        amount=amount,
        reference=reference,
        paid_by=PaidBy.PROCESSOR,
        bank_payment=None,
        is_taken=True,
    )
    return InvoicePayment.objects.get(pk=id)


def _receive(
    *,
    book: Book,
    invoice_id: UUID,
    id: UUID,  # noqa: A002
    amount: Decimal,
    reference: str,
    paid_by: PaidBy,
    bank_payment: BankPayment | None,
    is_taken: bool = False,
) -> dict[str, object]:
    invoice = Invoice.objects.select_related("top_up").get(pk=invoice_id)
    now = now_for(book)
    was, paid_into = invoice.status, ways.ACCOUNTS[paid_by]
    if is_taken and was not in TAKES_PAYMENT:
        applied, lines = ZERO, _surplus(amount, invoice.currency, paid_into)
    else:
        applied, lines = _applied(invoice, amount, paid_into)
    (entry,) = entries.append(
        [
            entries.EntryDraft(
                book=book,
                event=LedgerEvent.PAYMENT,
                occurred_at=now,
                document={"invoice": str(invoice), "payment": str(id), "reference": reference},
                lines=lines,
            )
        ]
    )
    payment = InvoicePayment.objects.create(
        id=id,
        invoice=invoice,
        amount=amount,
        applied=applied,
        reference=reference,
        paid_by=paid_by,
        bank_payment=bank_payment,
        received_at=now,
        entry=entry,
    )
    invoice.save(update_fields=["paid", "recovered", "status"])
    if invoice.status == InvoiceStatus.PAID and was != InvoiceStatus.PAID:
        close(book=book, invoice=invoice, paid_by=paid_by, now=now)
    return {
        "id": payment.pk,
        "customer_id": book.key,
        "invoice": invoice.number,
        "status": invoice.status,
        "currency": invoice.currency,
        "amount": amount,
        "applied": applied,
        "unapplied": amount - applied,
        "paid": invoice.paid,
        "recovered": invoice.recovered,
        "amount_due": invoice.amount_due,
        "reference": reference,
        "paid_by": paid_by,
        "entry": entry.pk,
        "received_at": now,
    }


def _surplus(surplus: Decimal, currency: str, paid_into: str) -> list[posting_rules.PostingLine]:
    return posting_rules.payment_received(
        amount=ZERO, surplus=surplus, currency=currency, paid_into=paid_into
    )


def _applied(
    invoice: Invoice, amount: Decimal, paid_into: str
) -> tuple[Decimal, list[posting_rules.PostingLine]]:
    """Note on an invoice what it takes of a payment; return that, and what the payment posts.

    Raises: NotOpen.
    """
    currency = invoice.currency
    if invoice.status == InvoiceStatus.UNCOLLECTIBLE:
        applied = min(amount, invoice.written_off - invoice.recovered)
        recovered = write_offs.recover(invoice, applied, paid_into=paid_into)
        return applied, [*recovered, *_surplus(amount - applied, currency, paid_into)]
    if invoice.status != InvoiceStatus.OPEN:
        raise NotOpen(f"The invoice {invoice} is {invoice.status}.")
    applied = min(amount, invoice.open)
    invoice.paid += applied
    if invoice.open == 0:
        invoice.status = InvoiceStatus.PAID
    # Credits that are held back have not been sold yet, so nothing is receivable: what is paid for
    # them stays unapplied until the invoice is paid in full (docs/accounting.md#e4).
    held_back = invoice.top_up is not None and invoice.top_up.status == TopUpStatus.PENDING
    receivable = ZERO if held_back else applied
    return applied, posting_rules.payment_received(
        amount=receivable, surplus=amount - receivable, currency=currency, paid_into=paid_into
    )


def close(*, book: Book, invoice: Invoice, paid_by: str, now: datetime) -> None:
    """Deliver what a paid invoice bought, and write the notice. The book must be locked."""
    if invoice.top_up_id is not None and invoice.written_off == 0:
        sales.pay_on_account(book=book, top_up_id=invoice.top_up_id, paid_by=paid_by, now=now)
    facts = {"invoice": invoice.number, "amount": invoice.amount_due, "currency": invoice.currency}
    outbox.notify(book, EventType.INVOICE_PAID, facts, now)
    # Whoever was suspended until it is paid is served again.
    port.billing().credits_arrived(book)
