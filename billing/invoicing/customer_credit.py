"""What is owed to a customer in money: used for invoices, by hand or by itself, or paid out
(docs/accounting.md#e31).

Credit of notes (2210) goes before payments that nothing has taken (2220). Each change is a row
that the database writes with its posting, so the sum of the rows is what the accounts say.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import Sum

from aforo import money, payable
from aforo.errors import FieldError, Invalid
from aforo.ids import new_id
from aforo.money import ZERO, plain
from aforo.protocol.idempotency import Answer
from aforo.sandbox.services import now_for
from billing.invoicing import payments
from billing.invoicing.invoices import NotOpen, get_invoice
from billing.invoicing.write_offs import CreditsHeldBack
from billing.models import Customer, CustomerCredit, Invoice, InvoiceStatus
from ledger import approvals, posting_rules
from ledger.entries import books, entries
from ledger.models import ApprovalAction, Book, LedgerEvent
from wallets.models import PaidBy, TopUpStatus
from wallets.operations import idempotency

APPLY, REFUND = "billing.invoices.apply_credit", "billing.customers.refund_credit"
_ACCOUNTS = (posting_rules.CUSTOMER_CREDIT, posting_rules.UNAPPLIED_PAYMENTS)


def available(book: Book) -> dict[str, dict[str, Decimal]]:
    """Return what is owed to a customer, by currency and account.

    What was paid in part for credits that are held back waits for the rest of the payment.
    """
    found: dict[str, dict[str, Decimal]] = defaultdict(dict)
    rows = CustomerCredit.objects.filter(book=book).order_by("currency", "account")
    for currency, account, total in rows.values_list("currency", "account").annotate(
        total=Sum("amount")
    ):
        found[currency][account] = total
    waiting = Invoice.objects.filter(customer=book.pk, top_up__status=TopUpStatus.PENDING)
    parts = waiting.order_by().values_list("currency").annotate(paid=Sum("paid"))
    for currency, paid in parts:
        if paid > 0:
            found[currency][posting_rules.UNAPPLIED_PAYMENTS] -= paid
    return found


def totals(book: Book) -> dict[str, Decimal]:
    """Return what is owed to a customer, by currency; currencies without any are left out."""
    sums = {currency: sum(each.values(), ZERO) for currency, each in available(book).items()}
    return {currency: total for currency, total in sums.items() if total > 0}


def apply_credit(
    *, livemode: bool, invoice: str, key: str, amount: Decimal | None = None
) -> Answer:
    """Pay an open invoice from what is owed to its customer: `amount`, else as much as there is.

    Raises: UnknownInvoice, NotOpen, CreditsHeldBack; Invalid (`not_payable`, `exceeds_invoice`,
    `exceeds_credit`).
    """
    found = get_invoice(livemode=livemode, reference=invoice)
    if amount is not None:
        payable.check(amount, found.currency, pointer="/amount")

    def make(book: Book, operation_id: UUID) -> dict[str, object]:
        current = Invoice.objects.select_related("top_up").get(pk=found.pk)
        return _apply(book, current, operation_id, amount)

    return idempotency.once(
        livemode=livemode,
        customer_id=found.customer.book.key,
        key=key,
        operation=APPLY,
        content={"invoice": found.pk, "amount": amount},
        make=make,
        status=200,
    )


def _apply(
    book: Book, invoice: Invoice, operation_id: UUID, amount: Decimal | None
) -> dict[str, object]:
    _check_takes_credit(invoice)
    if amount is not None and amount > invoice.open:
        detail = f"At most {plain(invoice.open)} of the invoice is open."
        raise Invalid([FieldError("/amount", "exceeds_invoice", detail)])
    usable = _usable(book, invoice.currency)
    asked = min(invoice.open, usable) if amount is None else amount
    if asked == 0 or asked > usable:
        detail = f"The customer has {plain(usable)} {invoice.currency} of credit."
        raise Invalid([FieldError("/amount", "exceeds_credit", detail)])
    now = now_for(book)
    entry = _use(book, invoice, operation_id, asked, now)
    return {
        "id": operation_id,
        "customer_id": book.key,
        "invoice": invoice.number,
        "status": invoice.status,
        "currency": invoice.currency,
        "applied": asked,
        "open": invoice.open,
        "credit": usable - asked,
        "entry": entry,
        "occurred_at": now,
    }


def _check_takes_credit(invoice: Invoice) -> None:
    """Check that something is receivable.

    Raises: NotOpen, CreditsHeldBack.
    """
    if invoice.status != InvoiceStatus.OPEN:
        raise NotOpen(f"The invoice {invoice} is {invoice.status}.")
    if invoice.top_up is not None and invoice.top_up.status == TopUpStatus.PENDING:
        raise CreditsHeldBack(f"The credits of {invoice} come when it is paid; nothing is owed.")


def _usable(book: Book, currency: str) -> Decimal:
    return money.floor_amount(totals(book).get(currency, ZERO), currency)


def _parts(book: Book, currency: str, amount: Decimal) -> list[tuple[str, Decimal]]:
    """Return what each account gives of an amount that both of them have."""
    has, left, parts = available(book)[currency], amount, []
    for account in _ACCOUNTS:
        part = min(max(has.get(account, ZERO), ZERO), left)
        left -= part
        if part > 0:
            parts.append((account, part))
    return parts


def _use(book: Book, invoice: Invoice, applied_id: UUID, amount: Decimal, now: datetime) -> UUID:
    """Pay so much of an invoice; return the entry."""
    parts = dict(_parts(book, invoice.currency, amount))
    (entry,) = entries.append(
        [
            entries.EntryDraft(
                book=book,
                event=LedgerEvent.PAYMENT,
                occurred_at=now,
                document={
                    "invoice": str(invoice),
                    "credit_applied": str(applied_id),
                    "amount": plain(amount),
                },
                lines=[
                    *posting_rules.customer_credit_applied(
                        amount=parts.get(posting_rules.CUSTOMER_CREDIT, ZERO),
                        currency=invoice.currency,
                    ),
                    *posting_rules.surplus_applied(
                        amount=parts.get(posting_rules.UNAPPLIED_PAYMENTS, ZERO),
                        currency=invoice.currency,
                    ),
                ],
            )
        ]
    )
    invoice.paid += amount
    if invoice.open == 0:
        invoice.status = InvoiceStatus.PAID
    invoice.save(update_fields=["paid", "status"])
    if invoice.status == InvoiceStatus.PAID:
        payments.close(book=book, invoice=invoice, paid_by=PaidBy.BANK, now=now)
    return entry.pk


def apply_by_itself(*, book_id: int, now: datetime) -> None:
    """Pay the open invoices of a customer who wants that from what is owed to it, the oldest first,
    in a transaction of its own.
    """
    if not Customer.objects.filter(pk=book_id, apply_credit=True).exists():
        return
    with transaction.atomic():
        book = books.lock_book(book_id=book_id)
        waiting = Invoice.objects.filter(customer=book_id, status=InvoiceStatus.OPEN)
        waiting = waiting.exclude(top_up__status=TopUpStatus.PENDING).select_related("top_up")
        for invoice in waiting.order_by("issued_at", "number"):
            amount = min(invoice.open, _usable(book, invoice.currency))
            if amount > 0:
                _use(book, invoice, new_id(), amount, now)


def refund_credit(
    *,
    livemode: bool,
    customer_id: str,
    key: str,
    amount: Decimal,
    currency: str,
    reference: str,
    reason: str,
) -> Answer:
    """Record that so much of what is owed to a customer was paid out by bank, as `reference` says.

    Above a limit it waits for approval. Raises: UnknownCustomer; Invalid (`not_payable`,
    `exceeds_credit`).
    """
    payable.check(amount, currency, pointer="/amount")
    said = {"amount": amount, "currency": currency, "reference": reference, "reason": reason}

    def make(book: Book, operation_id: UUID) -> dict[str, object]:
        usable = _usable(book, currency)
        if amount > usable:
            detail = f"The customer has {plain(usable)} {currency} of credit."
            raise Invalid([FieldError("/amount", "exceeds_credit", detail)])
        now = now_for(book)
        lines = []
        for account, part in _parts(book, currency, amount):
            lines += posting_rules.customer_credit_paid_out(
                account=account, amount=part, currency=currency
            )
        (entry,) = entries.append(
            [
                entries.EntryDraft(
                    book=book,
                    event=LedgerEvent.REFUND,
                    occurred_at=now,
                    document={
                        "credit_refund": str(operation_id),
                        "amount": plain(amount),
                        "currency": currency,
                        "reference": reference,
                        "reason": reason,
                    },
                    lines=lines,
                )
            ]
        )
        return {
            "id": operation_id,
            "customer_id": book.key,
            **said,
            "credit": usable - amount,
            "entry": entry.pk,
            "occurred_at": now,
        }

    return idempotency.once(
        livemode=livemode,
        customer_id=customer_id,
        key=key,
        operation=REFUND,
        content=said,
        make=approvals.within_limit(
            make,
            action=ApprovalAction.CREDIT_REFUND,
            operation=REFUND,
            content={**said, "customer_id": customer_id},
            amount=amount,
            currency=currency,
        ),
    )
