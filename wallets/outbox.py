"""Notices about wallets, written to the outbox in the transaction of the change.

Callers hold the book's lock; each function is one statement however long the list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from aforo.money import ZERO
from aforo.webhooks.models import EventType
from aforo.webhooks.services import Notice, emit
from ledger.models import Book
from wallets.models import CreditLot, Debit, Reservation, TopUp, UnitWallet, Wallet


@dataclass(frozen=True, slots=True)
class BalanceDrop:
    """The available balance of a wallet before and after a burn or hold."""

    book: Book
    wallet: Wallet | UnitWallet
    before: Decimal
    after: Decimal
    at: datetime


@dataclass(frozen=True, slots=True)
class DeclinedDebit:
    """A refused debit; `facts` name its code, what was asked for and what there was."""

    book: Book
    facts: Mapping[str, object]
    at: datetime


@dataclass(frozen=True, slots=True)
class Unpaid:
    """A capture of which its reservation's policy left a part unpaid."""

    book: Book
    wallet: Wallet | UnitWallet
    debit: Debit

    @property
    def currency(self) -> str:
        return self.wallet.unit["currency"]


def notify(book: Book, type: str, payload: Mapping[str, object], at: datetime) -> None:  # noqa: A002
    """Write one notice about a customer."""
    emit([Notice(book.livemode, book.key, type, payload, at)])


def topped_up(book: Book, top_up: TopUp, at: datetime) -> None:
    """Write the notices of a payment that arrived; of a refill two, one by that name."""
    types = [EventType.WALLET_TOPPED_UP]
    if top_up.auto_refill_id is not None:
        types.append(EventType.WALLET_REFILLED)
    facts: dict[str, object] = {
        "top_up": top_up.id,
        "amount": top_up.amount,
        "currency": top_up.currency,
        "automatic": top_up.auto_refill_id is not None,
    }
    if top_up.credit_unit:
        facts |= {"unit": top_up.credit_unit, "credits": top_up.bought}
    if top_up.refill_reason is not None:
        facts["reason"] = top_up.refill_reason
    emit([Notice(book.livemode, book.key, type_, facts, at) for type_ in types])


def credits_expired(book: Book, lapsed: Iterable[tuple[CreditLot, Mapping[str, object]]]) -> None:
    """Write notices of lots that lapsed, each with what was left of it, at the lot's own moment."""
    emit(
        [
            Notice(
                book.livemode,
                book.key,
                EventType.CREDITS_EXPIRED,
                {"lot": lot.id, "kind": lot.kind, **left},
                lot.expires_at,
            )
            for lot, left in lapsed
            if lot.expires_at is not None
        ]
    )


def reservation_expired(reservation: Reservation, released: Decimal) -> None:
    """Write the notice of a reservation that timed out, once, at its own moment."""
    wallet = reservation.wallet or reservation.unit_wallet
    assert wallet is not None, "a reservation is on one wallet"
    facts = {
        "reservation": str(reservation.id),
        **wallet.unit,
        "released": released,
        "captured": reservation.captured,
    }
    book, type_ = reservation.book, EventType.RESERVATION_EXPIRED
    at = reservation.expires_at
    emit([Notice(book.livemode, book.key, type_, facts, at, f"{type_}:{reservation.id}")])


def balances_fell(falls: Iterable[BalanceDrop]) -> None:
    """Write notices of wallets that fell to their low-balance threshold or to zero.

    Only the drop that crosses the line writes one, so a wallet that stays low has one notice until
    it has risen above the line again.
    """
    emit(
        [
            Notice(
                fall.book.livemode,
                fall.book.key,
                type_,
                {**fall.wallet.unit, "available": fall.after, "threshold": line},
                fall.at,
            )
            for fall in falls
            for type_, line in (
                (EventType.WALLET_LOW_BALANCE, fall.wallet.low_balance_threshold),
                (EventType.WALLET_DEPLETED, ZERO),
            )
            if line is not None and fall.after <= line < fall.before
        ]
    )


def budgets_exceeded(refusals: Iterable[tuple[Book, Mapping[str, object], datetime]]) -> None:
    """Write notices of requests that a budget refused, at most one per budget, value and minute."""
    emit(
        [
            Notice(
                book.livemode,
                book.key,
                EventType.BUDGET_EXCEEDED,
                facts,
                at,
                f"{EventType.BUDGET_EXCEEDED}:{book.pk}:{facts['budget']}:"
                f"{at.replace(second=0, microsecond=0).isoformat()}:{facts['value'] or ''}",
            )
            for book, facts, at in refusals
        ]
    )


def budget_alerts(alerts: Iterable[tuple[Book, Mapping[str, object], datetime]]) -> None:
    """Write notices of budgets of which a share is taken, once for a window, limit and share."""
    emit(
        [
            Notice(
                book.livemode,
                book.key,
                EventType.BUDGET_ALERT,
                facts,
                at,
                f"{EventType.BUDGET_ALERT}:{facts['counter']}:{facts['percent']}:{facts['limit']}",
            )
            for book, facts, at in alerts
        ]
    )


def debits_declined(declines: Iterable[DeclinedDebit]) -> None:
    """Write notices of refused debits, at most one per book and minute of its time
    (docs/decisions.md#d7).
    """
    first: dict[str, Notice] = {}
    for decline in declines:
        minute = decline.at.replace(second=0, microsecond=0)
        sameness = f"{EventType.DEBIT_DECLINED}:{decline.book.pk}:{minute.isoformat()}"
        first.setdefault(
            sameness,
            Notice(
                decline.book.livemode,
                decline.book.key,
                EventType.DEBIT_DECLINED,
                decline.facts,
                decline.at,
                sameness,
            ),
        )
    emit(list(first.values()))


def captures_uncovered(left: Iterable[Unpaid]) -> None:
    """Write notices of captures of which something stayed unpaid: nothing that was served is lost
    in silence.
    """
    emit(
        [
            Notice(
                each.book.livemode,
                each.book.key,
                EventType.RESERVATION_UNCOVERED,
                {
                    "reservation": str(each.debit.reservation),
                    "debit": str(each.debit.pk),
                    **each.wallet.unit,
                    "captured": each.debit.quantity,
                    "uncovered": each.debit.uncovered,
                    "debt": each.debit.debt,
                },
                each.debit.occurred_at,
            )
            for each in left
        ]
    )
