"""Sell credits: paid elsewhere, through the gateway, or on account."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction

from aforo import money, payable
from aforo.database import bulk
from aforo.database.together import Part, select_together
from aforo.errors import Conflict, FieldError, Invalid, NotCovered, NotFound
from aforo.ids import new_id
from aforo.protocol.idempotency import Answer, KeyedOperation, canonical
from aforo.sandbox.services import now_for
from ledger import posting_rules
from ledger.entries import books
from ledger.models import Book
from pricing import catalogue
from pricing.models import Metric, OnAccount
from wallets import port
from wallets.lots import provisioning
from wallets.models import Operation, PaidBy, TopUp, TopUpChannel, TopUpStatus
from wallets.operations import idempotency
from wallets.top_ups import payments, sale_tax, unit_sales, ways
from wallets.top_ups.gateway import SANDBOX, gateway_of
from wallets.top_ups.payments import TOP_UP

# A key has at most one payment without an answer.
_WAITING = "WHERE t.book_id = %s AND t.key = %s AND t.status = 'PENDING'"


class PaymentDeclined(NotCovered):
    """The payment of a top-up was declined; no credits were given.

    Ask for another means of payment. The same idempotency key may be used again.
    """

    default_code = "payment_declined"


class InProgress(Conflict):
    """The payment under this idempotency key has no answer yet.

    Repeat the request with the same key in a minute, or read the top-up.
    """

    default_code = "in_progress"


class UnknownTopUp(NotFound):
    """No top-up of the key's mode has this id.

    Use the `id` that the top-up answered, or GET /v1/wallets/top-ups.
    """

    default_code = "unknown_top_up"


@dataclass(frozen=True, slots=True)
class Bonus:
    """The bonus of a top-up: money of its currency, or units of a metric.

    `ssp_unit_price` is what one unit costs alone; without it the customer's plan decides.
    """

    amount: Decimal | None = None
    metric: str | None = None
    quantity: Decimal | None = None
    ssp_unit_price: Decimal | None = None

    @property
    def content(self) -> dict[str, object]:
        """Return what a repeat under the same key must contain again."""
        said: dict[str, object] = {
            "amount": self.amount,
            "metric": self.metric,
            "quantity": self.quantity,
        }
        return (
            said if self.ssp_unit_price is None else {**said, "ssp_unit_price": self.ssp_unit_price}
        )


@dataclass(frozen=True, slots=True)
class TopUpPayment:
    """How a top-up is paid."""

    method: str


@dataclass(frozen=True, slots=True)
class _Order:
    """A top-up as a client asked for it."""

    customer_id: str
    amount: Decimal | None
    currency: str
    channel: str
    method: str
    bonus: Bonus | None
    expires_at: datetime | None
    unit: str | None
    pack: str | None

    @property
    def content(self) -> dict[str, object]:
        bonus, named = self.bonus, {"unit": self.unit, "pack": self.pack}
        return {
            **{name: code for name, code in named.items() if code is not None},
            "customer_id": self.customer_id,
            "amount": self.amount,
            "currency": self.currency,
            "payment": self.method or None,
            "bonus": None if bonus is None else bonus.content,
            "expires_at": self.expires_at,
        }


def top_up(
    *,
    livemode: bool,
    customer_id: str,
    key: str,
    currency: str,
    amount: Decimal | None = None,
    payment: TopUpPayment | None = None,
    bonus: Bonus | None = None,
    expires_at: datetime | None = None,
    unit: str | None = None,
    pack: str | None = None,
) -> Answer:
    """Buy CASH credits, with the bonus that was asked for or else the one of the currency's slabs;
    with `unit`, credits of that unit at its rate, whose bonus is credits of it too; or a `pack`.

    The sandbox's gateway takes the payment by the name of the method; in live mode a method that
    the configured gateway does not know means money taken elsewhere, and no payment means on
    account: an invoice, and the credits when it is paid (unless the currency's terms say else).

    Raises: PaymentDeclined, and the key is free again; InProgress while the payment under this key
    has no answer; Invalid (`unknown_payment_method`, `payment_required`, `below_minimum`, ...).
    """
    channel, method = _channel(livemode=livemode, payment=payment)
    order = _Order(customer_id, amount, currency, channel, method, bonus, expires_at, unit, pack)
    if channel == TopUpChannel.GATEWAY:
        return _through_gateway(livemode=livemode, key=key, order=order)
    sell = _sell_on_account if channel == TopUpChannel.ON_ACCOUNT else _sell_paid
    return idempotency.once(
        livemode=livemode,
        customer_id=customer_id,
        key=key,
        operation=TOP_UP,
        content=order.content,
        make=lambda book, operation_id: sell(_new(book, operation_id, key, order)),
    )


def _new(book: Book, id: UUID, key: str, order: _Order) -> TopUp:  # noqa: A002
    """Build the top-up of an order, unless a payment under its key has no answer yet.

    Raises: InProgress, and what `_ordered` raises.
    """
    if bulk.select_models(TopUp, _WAITING, [book.pk, key]):
        raise InProgress(f"The payment under the key {key} has no answer yet.")
    return _ordered(book=book, id=id, key=key, order=order)


def _channel(*, livemode: bool, payment: TopUpPayment | None) -> tuple[str, str]:
    """Return the channel of the payment, and its method."""
    gateway = gateway_of(livemode=livemode)
    if not livemode:
        method = "test_ok" if payment is None else payment.method
        if gateway is None or not gateway.knows(method):
            known = ", ".join(SANDBOX.METHODS)
            detail = f"The sandbox does not know {method}; it knows {known}."
            raise Invalid([FieldError("/payment/method", "unknown_payment_method", detail)])
        return TopUpChannel.GATEWAY, method
    if payment is None:
        return TopUpChannel.ON_ACCOUNT, ""
    if gateway is not None and gateway.knows(payment.method):
        return TopUpChannel.GATEWAY, payment.method
    return TopUpChannel.MANUAL, payment.method


def _ordered(*, book: Book, id: UUID, key: str, order: _Order) -> TopUp:  # noqa: A002
    """Build the top-up of an order on the currency's terms of today; it is not yet written.

    Raises: Invalid.
    """
    now = now_for(book)
    idempotency.check_expiry(order.expires_at, now)
    terms, bought = _bought(book=book, order=order, now=now)
    if order.channel == TopUpChannel.ON_ACCOUNT:
        _check_on_account(terms)
    return TopUp(
        id=id,
        book=book,
        currency=order.currency,
        **bought,
        expires_at=order.expires_at,
        lifetime_days=terms.expires_after_days,
        channel=order.channel,
        method=order.method,
        paid_by=_paid_by(order),
        status=TopUpStatus.PENDING,
        key=key,
        content=canonical(order.content),
        created_at=now,
        **sale_tax.of_order(
            book=book, amount=bought["amount"], currency=order.currency, terms=terms, now=now
        ),
    )


def _bought(
    *, book: Book, order: _Order, now: datetime
) -> tuple[catalogue.TopUpTerms, dict[str, Any]]:
    """Return the terms of an order, and what its top-up keeps of what is bought.

    Raises: Invalid.
    """
    if order.pack is not None:
        return unit_sales.of_pack(book=book, code=order.pack, currency=order.currency, now=now)
    assert order.amount is not None, "the edge validates that one of both is given"
    terms = unit_sales.terms_of(book=book, currency=order.currency, unit=order.unit)
    payable.check(order.amount, order.currency, pointer="/amount")
    terms.check(order.amount)
    bonus, metric, unit_price = _bonus(book, order, order.amount, terms)
    return terms, {
        "amount": order.amount,
        **unit_sales.at_rate(terms.unit, amount=order.amount, currency=order.currency),
        "bonus": bonus,
        "bonus_metric": metric,
        "bonus_unit_price": unit_price,
    }


def _paid_by(order: _Order) -> str:
    """Return the way of the payment; of credits on account it is known when they are paid."""
    match order.channel:
        case TopUpChannel.GATEWAY:
            return PaidBy.PROCESSOR
        case TopUpChannel.MANUAL:
            return ways.by_method(order.method)
    return ""


def _check_on_account(terms: catalogue.TopUpTerms) -> None:
    """Check that an invoice may be written for what is paid later.

    Raises: Invalid (`payment_required`).
    """
    if terms.on_account == OnAccount.REFUSED:
        detail = "Say how it was paid: payment.method."
        raise Invalid([FieldError("/payment", "payment_required", detail)])


def _bonus(
    book: Book, order: _Order, amount: Decimal, terms: catalogue.TopUpTerms
) -> tuple[Decimal | None, Metric | None, Decimal | None]:
    """Return the bonus of an order: the one that was asked for, else that of the slabs; of units
    also the stand-alone price.

    Raises: Invalid (`unknown_metric`, `unit_price_required`).
    """
    if order.bonus is None:
        return terms.bonus_for(amount), None, None
    if order.bonus.metric is None:
        return order.bonus.amount, None, None
    if terms.unit is not None:
        detail = "With credits of a unit come credits of it: name an amount."
        raise Invalid([FieldError("/bonus/metric", "invalid", detail)])
    metric = provisioning.find_metric(livemode=book.livemode, code=order.bonus.metric)
    price = order.bonus.ssp_unit_price or port.billing().unit_price(book, order.currency, metric)
    if price is None:
        # Units that carry nothing could be used up, and all of the payment refunded.
        detail = f"Say what one unit of {metric.code} costs alone; no plan of theirs does."
        raise Invalid([FieldError("/bonus/ssp_unit_price", "unit_price_required", detail)])
    if order.bonus.quantity is not None and order.bonus.quantity * price >= money.BOOKS_LIMIT:
        detail = "The books have no room for what these units would cost alone."
        raise Invalid([FieldError("/bonus/ssp_unit_price", "out_of_range", detail)])
    return order.bonus.quantity, metric, price


def _sell_paid(bought: TopUp) -> dict[str, object]:
    """Deliver what was paid elsewhere."""
    now = bought.created_at
    bought.status, bought.paid_at = TopUpStatus.SUCCEEDED, now
    bought.save(force_insert=True)
    delivery = payments.fulfil_top_up(
        book=bought.book,
        top_up=bought,
        now=now,
        paid_into=ways.account_of(bought),
    )
    return payments.delivered_answer(book=bought.book, top_up=bought, delivery=delivery)


def _sell_on_account(bought: TopUp) -> dict[str, object]:
    """Invoice what will be paid later; the credits come with the payment, or at once if the terms
    say so (docs/accounting.md#e4 and #e3).
    """
    book, now = bought.book, bought.created_at
    terms = catalogue.top_up_terms(livemode=book.livemode, currency=bought.currency)
    if terms.on_account == OnAccount.HELD_BACK:
        bought.save(force_insert=True)
        shown = payments.waiting_answer(book=book, top_up=bought)
    else:
        bought.status = TopUpStatus.SUCCEEDED
        bought.save(force_insert=True)
        delivery = payments.fulfil_top_up(
            book=book, top_up=bought, now=now, paid_into=posting_rules.RECEIVABLE
        )
        shown = payments.delivered_answer(book=book, top_up=bought, delivery=delivery)
    # The invoice's number comes last, because its counter is everybody's (docs/decisions.md#d1).
    return {**shown, "invoice": port.billing().sold_on_account(book, bought)}


def pay_on_account(*, book: Book, top_up_id: UUID, paid_by: str, now: datetime) -> None:
    """Record that the invoice of a top-up is paid, and deliver the credits that waited for it.

    The book must be locked. What was paid stands on 2220 until then. `paid_by` is the way of the
    payment that made it whole, and the way back of all of it.
    """
    bought = TopUp.objects.select_related("bonus_metric").get(pk=top_up_id)
    waited = bought.status == TopUpStatus.PENDING
    bought.status, bought.paid_at, bought.paid_by = TopUpStatus.SUCCEEDED, now, paid_by
    bought.save(update_fields=["status", "paid_at", "paid_by"])
    if waited:
        payments.fulfil_top_up(
            book=book, top_up=bought, now=now, paid_into=posting_rules.UNAPPLIED_PAYMENTS
        )


def _through_gateway(*, livemode: bool, key: str, order: _Order) -> Answer:
    """Commit the order, ask the gateway, conclude; a repeat asks again what became of it."""
    found = _open(livemode=livemode, key=key, order=order)
    if isinstance(found, Answer):
        return found
    bought, is_repeat = found
    bought, concluded = payments.resolve_payment(top_up=bought)
    match bought.status:
        case TopUpStatus.FAILED:
            raise PaymentDeclined("The payment was declined; no credits were given.")
        case TopUpStatus.PENDING if is_repeat:
            raise InProgress(f"The payment under the key {key} has no answer yet.")
        case TopUpStatus.PENDING:
            return Answer.fresh(202, payments.waiting_answer(book=bought.book, top_up=bought))
    kept = idempotency.find(book=bought.book, key=key)
    assert kept is not None, "it is recorded with what the payment bought"
    answered = KeyedOperation(key, TOP_UP, bought.content).replay(kept)
    return replace(answered, replayed=not concluded)


def _open(*, livemode: bool, key: str, order: _Order) -> Answer | tuple[TopUp, bool]:
    """Replay a key, or find its waiting top-up, or commit a new one; return also whether it is a
    repeat.
    """
    book_id = books.get_book(livemode=livemode, key=order.customer_id).pk
    asked = KeyedOperation.of(key, TOP_UP, order.content)
    with transaction.atomic():
        book = books.lock_book(book_id=book_id)
        named = [book.pk, key]
        known = select_together(
            [Part(Operation, idempotency.UNDER_KEY, named), Part(TopUp, _WAITING, named)]
        )
        done, waiting = known.rows
        if done:
            return asked.replay(done[0])
        if waiting:
            bought: TopUp = waiting[0]
            asked.check_same(TOP_UP, bought.content)
            bought.book = book
            return bought, True
        bought = _ordered(book=book, id=new_id(), key=key, order=order)
        bulk.insert_models(TopUp, [bought])
        return bought, False


def get_top_up(*, livemode: bool, top_up_id: UUID) -> TopUp:
    """Return a top-up.

    Raises: UnknownTopUp.
    """
    found = TopUp.objects.filter(pk=top_up_id, book__livemode=livemode)
    bought = found.select_related("book__test_clock", "bonus_metric").first()
    if bought is None:
        raise UnknownTopUp(f"There is no top-up {top_up_id}.")
    return bought
