"""Pay unused cash credits back, and take the bonus back that came with them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from aforo import money
from aforo.errors import NotCovered
from aforo.sandbox.services import now_for
from ledger import recipes
from ledger.models import Book, Event
from pricing.models import Kind
from wallets import reads
from wallets.answers import Answer
from wallets.journal import Journal
from wallets.models import CreditLot, Wallet
from wallets.services import holders, keyed

ZERO = Decimal(0)
REFUND = "POST /v1/wallets/refunds"


@dataclass(frozen=True, slots=True)
class _Taken:
    """What is taken back of one lot, and the consideration that it held."""

    lot: CreditLot
    quantity: Decimal
    carrying: Decimal


@money.exact
def refund(
    *,
    livemode: bool,
    customer_id: str,
    key: str,
    amount: Decimal,
    currency: str,
    reason: str,
) -> Answer:
    """Pay `amount` of unused CASH credits back, newest top-up first (FINANCE 3, event 27).

    The bonus that came with them is taken back in proportion; where it is spent, the pay-out is
    cut by what it carried (DECISIONS 30): of 100 + 20 for 100.00 with 15 bonus burned, a refund of
    50 takes 50 cash and 5 bonus and pays 45.83. Whole cents are paid, half even; the rest of the
    consideration is rounding. Refundable is what was paid for and is unspent, not held, alive.

    Raises: UnknownCustomer; NotCovered with `available` when less is refundable.
    """

    def make(book: Book, operation_id: UUID) -> dict[str, object]:
        now = now_for(book)
        wallet = holders.money_wallet(book=book, currency=currency)
        bought = _bought(book, now)
        parts = _cash_parts(bought, wallet, amount)
        journal = Journal()
        draft = journal.entry(
            book=book,
            event=Event.REFUND,
            occurred_at=now,
            document={
                "key": key,
                "amount": money.plain(amount),
                "currency": currency,
                "reason": reason,
            },
        )
        taken = [
            _Taken(lot, quantity, draft.refund(lot, quantity))
            for cash, part in parts
            for lot, quantity in [(cash, part), *_bonus_parts(bought, cash, part)]
        ]
        exact = sum((each.carrying for each in taken), ZERO)
        paid = money.round_amount(exact, currency)
        draft.lines += recipes.refund_rounded(residue=exact - paid, currency=currency)
        draft.document["paid"] = money.plain(paid)
        journal.write()
        return {
            "id": operation_id,
            "customer_id": book.key,
            "currency": currency,
            "amount": amount,
            "refunded": paid,
            "clawed_back": _clawed_back(taken, wallet),
            "lots": [
                {
                    "lot": each.lot.id,
                    "kind": each.lot.kind,
                    "quantity": each.quantity,
                    "carrying": each.carrying,
                    "remaining": each.lot.remaining,
                }
                for each in taken
            ],
            "balance": reads.balance_of(wallet, now),
            "entry": draft.id,
        }

    return keyed.once(
        livemode=livemode,
        customer_id=customer_id,
        key=key,
        endpoint=REFUND,
        content={
            "customer_id": customer_id,
            "amount": amount,
            "currency": currency,
            "reason": reason,
        },
        make=make,
    )


def _bought(book: Book, now: datetime) -> list[CreditLot]:
    """Give the lots of paid top-ups that are alive, with something free, the newest first."""
    lots = reads.open_lots([book.pk]).filter(top_up__paid_at__isnull=False)
    alive = [lot for lot in lots if reads.is_alive(lot, now) and lot.available > 0]
    return sorted(alive, key=lambda lot: (lot.granted_at, lot.id), reverse=True)


def _cash_parts(
    bought: Iterable[CreditLot], wallet: Wallet, amount: Decimal
) -> list[tuple[CreditLot, Decimal]]:
    """Say which cash lots give how much.

    Raises: NotCovered.
    """
    parts, left = [], amount
    for lot in bought:
        if lot.kind == Kind.CASH and lot.wallet_id == wallet.pk and left > 0:
            parts.append((lot, min(lot.available, left)))
            left -= parts[-1][1]
    if left > 0:
        raise NotCovered(
            f"{money.plain(amount - left)} of the cash credits can be refunded.",
            extra={"shortfall": money.plain(left), "available": money.plain(amount - left)},
        )
    return parts


def _bonus_parts(
    bought: Iterable[CreditLot], cash: CreditLot, part: Decimal
) -> list[tuple[CreditLot, Decimal]]:
    """Give what is due back of the bonus that came with part of a cash lot, as far as it goes."""
    parts = []
    for lot in bought:
        if lot.top_up_id == cash.top_up_id and lot.kind == Kind.BONUS:
            due = money.proportion(lot.face, part, cash.face)
            if (quantity := min(due, lot.available)) > 0:
                parts.append((lot, quantity))
    return parts


def _clawed_back(taken: Sequence[_Taken], wallet: Wallet) -> Decimal:
    """Sum the bonus money taken back; units are among the lots."""
    return sum(
        (
            each.quantity
            for each in taken
            if each.lot.kind == Kind.BONUS and each.lot.wallet_id == wallet.pk
        ),
        ZERO,
    )
