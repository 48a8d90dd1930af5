"""Sell credits, with the bonus that comes with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from aforo import money
from aforo.errors import FieldError, Invalid, NotCovered
from aforo.sandbox.services import now_for
from ledger import recipes
from ledger.models import Book, Event
from pricing.models import Kind
from wallets import hooks
from wallets.answers import Answer, grant_answer
from wallets.journal import Journal, lot_document, new_lot
from wallets.models import (
    CreditLot,
    Source,
    TopUp,
    TopUpStatus,
    UnitWallet,
    Wallet,
)
from wallets.services import campaigns, holders, keyed

TOP_UP = "POST /v1/wallets/top-ups"
# The sandbox's gateway answers by the name of the method.
TEST_METHODS = {"test_ok": True, "test_declined": False}


class PaymentDeclined(NotCovered):
    default_code = "payment_declined"


@dataclass(frozen=True, slots=True)
class Bonus:
    """What comes with a top-up: money of its currency, or units of a metric."""

    amount: Decimal | None = None
    metric: str | None = None
    quantity: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Payment:
    """How a top-up is paid."""

    method: str


def top_up(
    *,
    livemode: bool,
    customer_id: str,
    key: str,
    amount: Decimal,
    currency: str,
    payment: Payment | None = None,
    bonus: Bonus | None = None,
    expires_at: datetime | None = None,
) -> Answer:
    """Buy CASH credits, paid at once, with the bonus that comes with them.

    Running campaigns may add to it. A live payment has been taken elsewhere and is named by its
    method; the sandbox knows `test_ok` and `test_declined`.

    Raises: PaymentDeclined; Invalid (`payment_required`, `unknown_payment_method`).
    """
    method = _paid_by(livemode=livemode, payment=payment)

    def make(book: Book, operation_id: UUID) -> dict[str, object]:
        now = now_for(book)
        keyed.check_expiry(expires_at, now)
        wallet = holders.money_wallet(book=book, currency=currency)
        bought = TopUp.objects.create(
            id=operation_id,
            book=book,
            wallet=wallet,
            amount=amount,
            method=method,
            status=TopUpStatus.SUCCEEDED,
            created_at=now,
            paid_at=now,
        )
        lots = _bought_lots(
            top_up=bought, wallet=wallet, bonus=bonus, expires_at=expires_at, now=now
        )
        lots += campaigns.match_top_up(
            book=book, wallet=wallet, top_up_id=bought.id, amount=amount, now=now
        )
        _allocate(amount, lots)
        entry = _sell(book=book, key=key, lots=lots, now=now, method=method)
        hooks.credits_arrived(book)
        return grant_answer(
            id=bought.id,
            book=book,
            wallet=wallet,
            lots=lots,
            entry=entry,
            extra={"status": bought.status, "amount": amount, "currency": currency},
        )

    return keyed.once(
        livemode=livemode,
        customer_id=customer_id,
        key=key,
        endpoint=TOP_UP,
        content={
            "customer_id": customer_id,
            "amount": amount,
            "currency": currency,
            "payment": method,
            "bonus": None
            if bonus is None
            else {"amount": bonus.amount, "metric": bonus.metric, "quantity": bonus.quantity},
            "expires_at": expires_at,
        },
        make=make,
    )


def _paid_by(*, livemode: bool, payment: Payment | None) -> str:
    if livemode:
        if payment is None:
            detail = "Say how it was paid: payment.method."
            raise Invalid([FieldError("/payment", "payment_required", detail)])
        return payment.method
    method = "test_ok" if payment is None else payment.method
    if method not in TEST_METHODS:
        detail = f"The sandbox knows {', '.join(TEST_METHODS)}."
        raise Invalid([FieldError("/payment/method", "unknown_payment_method", detail)])
    if not TEST_METHODS[method]:
        raise PaymentDeclined("The payment was declined; nothing was changed.")
    return method


def _bought_lots(
    *,
    top_up: TopUp,
    wallet: Wallet,
    bonus: Bonus | None,
    expires_at: datetime | None,
    now: datetime,
) -> list[CreditLot]:
    """Make the cash lot and the bonus lot of a purchase."""
    lots = [
        new_lot(
            wallet=wallet,
            kind=Kind.CASH,
            source=Source.TOP_UP,
            quantity=top_up.amount,
            now=now,
            expires_at=expires_at,
            top_up_id=top_up.id,
        )
    ]
    if bonus is not None:
        given: Wallet | UnitWallet = wallet
        if bonus.metric is not None:
            metric = holders.find_metric(livemode=top_up.book.livemode, code=bonus.metric)
            given = holders.unit_wallet(book=top_up.book, metric=metric)
        face = bonus.amount if bonus.metric is None else bonus.quantity
        assert face is not None, "the edge validates the pair"
        lots.append(
            new_lot(
                wallet=given,
                kind=Kind.BONUS,
                source=Source.TOP_UP,
                quantity=face,
                currency=wallet.currency,
                now=now,
                expires_at=expires_at,
                top_up_id=top_up.id,
            )
        )
    return lots


def _allocate(paid: Decimal, lots: Sequence[CreditLot]) -> None:
    """Spread what was paid over the money lots by face value; bonus units carry nothing.

    Effective rate: 100 + 20 for 100.00 carry 83.33 and 16.67 (FINANCE 4.2).
    """
    sold = [lot for lot in lots if lot.wallet is not None]
    shares = money.split(paid, [lot.face for lot in sold])
    for lot, share in zip(sold, shares, strict=True):
        lot.carrying = lot.carrying_remaining = share


def _sell(*, book: Book, key: str, lots: Sequence[CreditLot], now: datetime, method: str) -> UUID:
    """Issue bought lots in one entry that posts what was paid to their liabilities."""
    journal = Journal()
    draft = journal.entry(
        book=book,
        event=Event.TOP_UP,
        occurred_at=now,
        document={"key": key, "method": method, "lots": [lot_document(lot) for lot in lots]},
    )
    for lot in lots:
        draft.grant(lot)
        draft.lines += recipes.credits_sold(
            kind=lot.kind,
            source=lot.source,
            carrying=lot.carrying,
            currency=lot.currency,
            lot=lot.id,
            paid_into=recipes.CLEARING,
        )
    journal.write()
    return draft.id
