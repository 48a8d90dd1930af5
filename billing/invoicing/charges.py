"""Open invoices charged through the gateway: committed first, then asked for, and concluded once
(docs/decisions.md#d542).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet

from aforo import actors
from aforo.sandbox.services import now_for
from billing.invoicing import payments
from billing.models import (
    ChargeStatus,
    CollectionMethod,
    Invoice,
    InvoiceCharge,
    InvoiceStatus,
)
from ledger.entries import books
from ledger.models import Book
from wallets.top_ups import payments as payments_of_gateway
from wallets.top_ups.gateway import (
    SANDBOX,
    GatewayCharge,
    GatewayOutcome,
    GatewayUnreachable,
    gateway_of,
)

logger = logging.getLogger(__name__)


def due_books(*, now: datetime) -> list[int]:
    """Return the books with an invoice to be charged, or a charge whose gateway is to be asked by
    now; those on a test clock wait for their clock.
    """
    charged = _waiting().filter(Q(ask_again_at=None) | Q(ask_again_at__lte=now))
    found = charged.filter(invoice__customer__book__test_clock=None)
    uncharged = _uncharged().filter(customer__book__test_clock=None)
    return sorted(
        {
            *found.values_list("invoice__customer", flat=True),
            *uncharged.values_list("customer", flat=True),
        }
    )


def due_on_clock(*, clock_id: UUID) -> Iterator[tuple[datetime, int, tuple[object, ...]]]:
    """Return when invoices of customers on a test clock are charged, and when the sandbox's gateway
    answers.
    """
    for invoice in _uncharged().filter(customer__book__test_clock=clock_id):
        if SANDBOX.knows(invoice.customer.payment_method):
            assert invoice.issued_at is not None, "an open invoice is issued"
            yield invoice.issued_at, invoice.customer_id, ("uncharged invoice", invoice.pk)
    found = _waiting().filter(invoice__customer__book__test_clock=clock_id)
    for charge in found.select_related("invoice__customer__book"):
        yield (
            SANDBOX.answers_at(_asked(charge)),
            charge.invoice.customer_id,
            ("charge", charge.pk),
        )


def collect(*, book_id: int) -> int:
    """Charge the open invoices of a customer that were not charged yet, and ask about the charges
    that wait; return how many were concluded. Safe to repeat.
    """
    _plan_first(book_id)
    waiting = _waiting().filter(invoice__customer=book_id)
    found = waiting.select_related("invoice__customer__book__test_clock")
    return sum(_resolve(charge) for charge in list(found.order_by("created_at", "pk")))


def plan(*, book: Book, invoice: Invoice, now: datetime) -> InvoiceCharge | None:
    """Write down that what is open of an invoice is to be charged, if its customer has its invoices
    charged and no charge of it waits for an answer. The book must be locked; who asks the gateway
    comes after the commit.
    """
    customer = invoice.customer
    gateway = gateway_of(livemode=book.livemode)
    is_charged = customer.collection_method == CollectionMethod.CHARGE_AUTOMATICALLY
    if not is_charged or gateway is None or not gateway.knows(customer.payment_method):
        return None
    mine = InvoiceCharge.objects.filter(invoice=invoice)
    if invoice.status != InvoiceStatus.OPEN or mine.filter(status=ChargeStatus.PENDING).exists():
        return None
    return InvoiceCharge.objects.create(
        invoice=invoice,
        attempt=mine.count() + 1,
        amount=invoice.open,
        currency=invoice.currency,
        method=customer.payment_method,
        created_at=now,
    )


def _uncharged() -> QuerySet[Invoice]:
    return Invoice.objects.filter(
        status=InvoiceStatus.OPEN,
        customer__collection_method=CollectionMethod.CHARGE_AUTOMATICALLY,
        charges=None,
    ).select_related("customer")


def _waiting() -> QuerySet[InvoiceCharge]:
    return InvoiceCharge.objects.filter(status=ChargeStatus.PENDING)


@transaction.atomic
def _plan_first(book_id: int) -> None:
    book = books.lock_book(book_id=book_id)
    for invoice in _uncharged().filter(customer=book_id).order_by("issued_at", "pk"):
        plan(book=book, invoice=invoice, now=now_for(book))


def _resolve(charge: InvoiceCharge) -> bool:
    """Ask the gateway about a charge and record its outcome, once whoever asks; return whether this
    call concluded it.
    """
    outcome = _ask(charge)
    if outcome == GatewayOutcome.PENDING:
        wait = payments_of_gateway.wait_after(charge.asked)
        _waiting().filter(pk=charge.pk, asked=charge.asked).update(
            asked=charge.asked + 1,
            ask_again_at=now_for(charge.invoice.customer.book) + wait,
        )
        return False
    return _conclude(charge, is_paid=outcome == GatewayOutcome.SUCCEEDED)


def _ask(charge: InvoiceCharge) -> GatewayOutcome:
    book = charge.invoice.customer.book
    try:
        gateway = gateway_of(livemode=book.livemode)
        if gateway is not None:
            return gateway.charge(_asked(charge), now=now_for(book))
    except GatewayUnreachable:
        logger.warning("The gateway gave no answer about charge %s", charge.pk)
    except Exception:
        # Whatever broke there, the outcome of the charge is unknown.
        logger.exception("The gateway failed about charge %s", charge.pk)
    return GatewayOutcome.PENDING


def _asked(charge: InvoiceCharge) -> GatewayCharge:
    return GatewayCharge(
        id=charge.pk,
        customer_id=charge.invoice.customer.book.key,
        amount=charge.amount,
        currency=charge.currency,
        method=charge.method,
        asked_at=charge.created_at,
    )


@actors.acting(actors.job("collection"))
@transaction.atomic
def _conclude(charge: InvoiceCharge, *, is_paid: bool) -> bool:
    """Record a payment, which counts whatever became of its invoice meanwhile, or a decline."""
    book = books.lock_book(book_id=charge.invoice.customer_id)
    current = InvoiceCharge.objects.get(pk=charge.pk)
    if current.status != ChargeStatus.PENDING:
        return False
    if is_paid:
        current.payment = payments.take_charge(
            book=book, invoice_id=current.invoice_id, id=current.pk, amount=current.amount,
            reference=current.method,
        )  # fmt: skip
    current.status = ChargeStatus.SUCCEEDED if is_paid else ChargeStatus.DECLINED
    current.concluded_at = now_for(book)
    current.save(update_fields=["status", "concluded_at", "payment"])
    return True
