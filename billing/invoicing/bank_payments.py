"""Payments of the bank: taken once, matched to open invoices, else kept until a person decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from aforo import actors, payable
from aforo.errors import Conflict, FieldError, Invalid, NotFound
from aforo.money import ZERO
from billing.invoicing import payments
from billing.invoicing.invoices import NotOpen, get_invoice
from billing.invoicing.payment_lines import PaymentLine, named_numbers
from billing.models import (
    BankPayment,
    BankPaymentState,
    Document,
    Invoice,
    InvoiceSeries,
    InvoiceStatus,
)
from ledger.entries import books


class UnknownPayment(NotFound):
    """No payment of the key's mode has this id.

    Take it from GET /v1/payments.
    """

    default_code = "unknown_payment"


class PaymentDecided(Conflict):
    """The payment is matched to invoices, or was sent back, already.

    Read it by GET /v1/payments/{payment_id}.
    """

    default_code = "payment_decided"


class PaymentContradicted(Conflict):
    """The account has another payment under this reference of the bank.

    Send the reference that the bank gave to this one; what was taken never changes.
    """

    default_code = "payment_contradicted"


@dataclass(frozen=True, slots=True)
class Taken:
    """A payment as it stands, and whether it was there before."""

    payment: BankPayment
    is_repeated: bool


@dataclass(frozen=True, slots=True)
class _Match:
    """The invoices that a payment pays, in order; without any, why not."""

    invoices: Sequence[Invoice] = ()
    reason: str = ""


@transaction.atomic
def take(*, livemode: bool, line: PaymentLine, now: datetime) -> Taken:
    """Record a payment once for ever, and match it to what its text names (docs/decisions.md#d454).

    Raises: Invalid (`not_payable`, `required`), PaymentContradicted.
    """
    _check(line)
    payment, is_new = BankPayment.objects.get_or_create(
        livemode=livemode,
        account=line.account,
        bank_reference=line.bank_reference,
        defaults={
            "booked_on": line.booked_on,
            "currency": line.currency,
            "amount": line.amount,
            "text": line.text[:1000],
            "payer": line.payer[:200],
            "customer_id": line.customer_id,
            "state": BankPaymentState.UNMATCHED,
            "created_at": now,
        },
    )
    if is_new:
        _match(payment, now)
    elif (payment.currency, payment.amount, payment.booked_on) != (
        line.currency, line.amount, line.booked_on,
    ):  # fmt: skip
        detail = f"{line.account} has {payment} of {payment.booked_on} under this reference."
        raise PaymentContradicted(detail)
    return Taken(payment, is_repeated=not is_new)


def _check(line: PaymentLine) -> None:
    if not line.bank_reference:
        detail = "Without it nobody can tell a repeat from a second payment."
        raise Invalid([FieldError("/bank_reference", "required", detail)])
    if line.amount <= 0:
        raise Invalid([FieldError("/amount", "not_positive", "Only money that came is taken.")])
    payable.check(line.amount, line.currency, pointer="/amount")


@transaction.atomic
def match_again(*, payment_id: UUID, now: datetime) -> BankPayment:
    """Match a payment to the invoices that are open by now, if it waits for that."""
    payment = BankPayment.objects.get(pk=payment_id)
    if payment.state == BankPaymentState.UNMATCHED:
        _match(payment, now)
    return payment


@transaction.atomic
def assign(*, livemode: bool, payment_id: UUID, invoice: str, now: datetime) -> BankPayment:
    """Assign a payment to an invoice by hand; what exceeds it is unapplied (2220).

    Raises: UnknownPayment, UnknownInvoice, PaymentDecided, NotOpen, Invalid (`currency_differs`).
    """
    payment = get_payment(livemode=livemode, payment_id=payment_id)
    found = get_invoice(livemode=livemode, reference=invoice)
    if found.currency != payment.currency:
        detail = f"The payment is in {payment.currency}, {found} in {found.currency}."
        raise Invalid([FieldError("/invoice", "currency_differs", detail)])
    _decide(payment, BankPaymentState.MATCHED, now)
    _pay(payment, [found])
    return payment


@transaction.atomic
def send_back(*, livemode: bool, payment_id: UUID, reason: str, now: datetime) -> BankPayment:
    """Record that the bank was told to send a payment back; nothing of it was in the books.

    Raises: UnknownPayment, PaymentDecided.
    """
    payment = get_payment(livemode=livemode, payment_id=payment_id)
    _decide(payment, BankPaymentState.SENT_BACK, now, reason=reason)
    return payment


def get_payment(*, livemode: bool, payment_id: UUID) -> BankPayment:
    """Return a payment.

    Raises: UnknownPayment.
    """
    payment = BankPayment.objects.filter(livemode=livemode, pk=payment_id).first()
    if payment is None:
        raise UnknownPayment(f"There is no payment {payment_id}.")
    return payment


def _decide(payment: BankPayment, state: str, now: datetime, reason: str = "") -> None:
    """End the wait of a payment, once whoever comes first.

    Raises: PaymentDecided.
    """
    actor = actors.current()
    ended = {
        "state": state,
        "reason": reason,
        "decided_by_kind": actor.kind.value,
        "decided_by_id": actor.id,
        "decided_at": now,
    }
    waiting = BankPayment.objects.filter(pk=payment.pk, state=BankPaymentState.UNMATCHED)
    if not waiting.update(**ended):
        payment.refresh_from_db()
        raise PaymentDecided(f"The payment is {payment.state} already.")
    for name, value in ended.items():
        setattr(payment, name, value)


def _match(payment: BankPayment, now: datetime) -> None:
    """Pay the invoices that a payment names; where it names none that takes it, note why."""
    found = _find(payment)
    if found.invoices:
        # What is open counts once the customer's book is locked.
        books.lock_book(book_id=found.invoices[0].customer.book_id)
        found = _find(payment)
    if found.invoices:
        _decide(payment, BankPaymentState.MATCHED, now)
        _pay(payment, found.invoices)
    elif payment.reason != found.reason:
        payment.reason = found.reason
        payment.save(update_fields=["reason"])


def _find(payment: BankPayment) -> _Match:
    prefixes = InvoiceSeries.objects.filter(livemode=payment.livemode, document=Document.INVOICE)
    numbers = named_numbers(payment.text, prefixes.values_list("prefix", flat=True))
    issued = Invoice.objects.filter(livemode=payment.livemode, number__isnull=False)
    issued = issued.select_related("customer__book").order_by("due_at", "number")
    if numbers:
        return _named(payment, list(issued.filter(number__in=numbers)))
    if payment.customer_id:
        return _of_customer(payment, issued)
    return _Match(reason="It names no invoice.")


def _named(payment: BankPayment, named: list[Invoice]) -> _Match:
    """Return the invoices that the text names and that take the payment: the one of exactly its
    amount, else all of them.
    """
    if not named:
        return _Match(reason="There is no invoice of the number that it names.")
    taking = [one for one in named if one.currency == payment.currency]
    if not taking:
        return _Match(reason=f"What it names is in {named[0].currency}.")
    owing = [one for one in taking if owed(one) > 0]
    if not owing:
        return _Match(reason=f"Nothing is open of {taking[0]}.")
    if len({one.customer.book_id for one in owing}) > 1:
        return _Match(reason="It names invoices of several customers.")
    return _Match(_exact(payment, owing) or owing)


def _of_customer(payment: BankPayment, issued: QuerySet[Invoice]) -> _Match:
    """Return the open invoices of the customer that the line names: the one of exactly the amount,
    else, where the setting says so, the oldest first.
    """
    mine = issued.filter(
        customer__book__key=payment.customer_id,
        currency=payment.currency,
        status=InvoiceStatus.OPEN,
    )
    owing = list(mine)
    if exact := _exact(payment, owing):
        return _Match(exact)
    if owing and settings.PAYMENTS_OLDEST_FIRST:
        return _Match(owing)
    return _Match(reason="No open invoice of the customer has this amount.")


def _exact(payment: BankPayment, invoices: Sequence[Invoice]) -> list[Invoice]:
    return [one for one in invoices if owed(one) == payment.amount][:1]


def owed(invoice: Invoice) -> Decimal:
    """Return what a payment of an invoice can still pay or recover."""
    if invoice.status == InvoiceStatus.OPEN:
        return invoice.open
    if invoice.status == InvoiceStatus.UNCOLLECTIBLE:
        return invoice.written_off - invoice.recovered
    return ZERO


def _pay(payment: BankPayment, invoices: Sequence[Invoice]) -> None:
    """Pay invoices in order; what is left goes with the last one, which notes it as unapplied.

    Raises: NotOpen.
    """
    parts: list[tuple[Invoice, Decimal]] = []
    left = payment.amount
    for invoice in invoices:
        if (part := min(left, owed(invoice))) > 0:
            parts.append((invoice, part))
            left -= part
    if not parts:
        raise NotOpen(f"The invoice {invoices[0]} is {invoices[0].status}.")
    last, part = parts[-1]
    parts[-1] = (last, part + left)
    for invoice, amount in parts:
        payments.pay(
            livemode=payment.livemode,
            invoice=str(invoice.pk),
            amount=amount,
            reference=payment.bank_reference,
            key=f"bank-{payment.pk}-{invoice.pk}",
            bank_payment=payment,
        )
