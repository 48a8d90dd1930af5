"""Extensions of reserved usage: more time, or more of it, priced again at the cycle of today."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from aforo.errors import FieldError, Invalid
from aforo.ids import new_id
from aforo.money import ZERO
from aforo.protocol.idempotency import Answer
from billing.models import UsageReservation
from billing.realtime import marginal_price, usage_budgets
from billing.realtime.open_cycles import OpenCycle
from billing.realtime.usage_budgets import Use
from billing.realtime.usage_requests import UsageRequest
from billing.settlement import cycle_burns
from ledger.models import LedgerEvent
from wallets.debits.engine import ExtendRequest
from wallets.debits.engine.accounts import WalletState
from wallets.debits.engine.reserving import extended, hold_parts
from wallets.holds.reservation_holds import Held
from wallets.models import BurnStrategy
from wallets.operations.responses import allocated

if TYPE_CHECKING:
    from billing.realtime.usage_pricing import UsagePricing


def extend(
    usage: UsagePricing, made: UsageReservation, held: Held, request: ExtendRequest
) -> Answer:
    """Extend reserved usage: for longer, or by more of it, in addition to what it holds.

    What all that is left would cost now is priced anew; what this is more than what is held and
    promised is held of the lots alive now, and burns after the rest. Raises: Invalid,
    NoSubscription, Suspended, Paused, NotCovered, which leave it as it was.
    """
    if request.amount is not None:
        raise Invalid([FieldError("/amount", "invalid", "Usage is reserved by quantity.")])
    reservation = held.reservation
    expires_at = extended(reservation, request.expires_in, usage.now(reservation.book))
    if request.quantity is not None:
        _hold_more(usage, made, held, request.quantity, request.key)
    reservation.expires_at = expires_at
    usage.note(held, released=ZERO)
    usage.change(made)
    return usage.answer(request, held, new_id(), lambda: _shown(usage, made, held))


def _hold_more(
    usage: UsagePricing, made: UsageReservation, held: Held, more: Decimal, key: str
) -> None:
    reservation, book = held.reservation, held.reservation.book
    cycle, metric = marginal_price.cycle_for(usage, book, made.metric.code)
    marginal_price.check_open(cycle.subscription)
    priced, promised = _priced(usage, made, held, cycle, made.quantity - made.captured + more)
    account, units = usage.batch.account_of(reservation), usage.unit_account(book, metric)
    money = _increase(usage, held, priced, is_money=True)
    added = [(units, _increase(usage, held, priced, is_money=False)), (account, money)]
    overage = max(promised - reservation.promised, ZERO)
    entry = usage.batch.journal.entry(
        book=book,
        event=LedgerEvent.HOLD,
        occurred_at=usage.now(book),
        document={"key": key, "reservation": str(made.pk)},
        attributes=reservation.attributes,
    )
    currency = account.wallet.unit["currency"]
    use = Use(metric, currency, made.properties, more, money + overage)
    usage_budgets.hold(usage, book, use, held)
    account.note_balance_before()
    for wallet, quantity in added:
        parts = wallet.allocate(quantity, BurnStrategy.WATERFALL).allocations
        usage.batch.holds += hold_parts(entry, held, wallet, parts)
    made.quantity += more
    reservation.held += money
    reservation.quantity += money + overage
    reservation.promised += overage
    account.promised += overage


def _priced(
    usage: UsagePricing, made: UsageReservation, held: Held, cycle: OpenCycle, quantity: Decimal
) -> tuple[Mapping[UUID, Decimal], Decimal]:
    """Return what all that is left of a reservation would burn now, by lot, and its overage.

    Raises: NotCovered.
    """
    book, open_holds = held.reservation.book, held.by_lot
    ask = UsageRequest(
        customer_id=book.key,
        metric=made.metric.code,
        quantity=quantity,
        key="",
        properties=made.properties,
    )
    event = marginal_price.event_of(usage, book, cycle, made.metric, ask, f"extend:{made.pk}")
    before = marginal_price.without(usage, book, cycle)
    with _let_go(held, usage.batch.account_of(held.reservation)):
        after = marginal_price.with_event(
            usage,
            book,
            cycle,
            event,
            before=before,
            also_pays=lambda lot: lot.id in open_holds,
            promised=held.reservation.promised,
        )
    return (
        cycle_burns.increases(after, cycle.burns),
        max(after.to_invoice - before.to_invoice, ZERO),
    )


@contextmanager
def _let_go(held: Held, account: WalletState) -> Iterator[None]:
    """Release what a reservation holds and promises while it is priced, as its capture would."""
    account.promised -= held.reservation.promised
    for hold, lot in held.holds:
        lot.held -= hold.open
    try:
        yield
    finally:
        account.promised += held.reservation.promised
        for hold, lot in held.holds:
            lot.held += hold.open


def _increase(
    usage: UsagePricing, held: Held, priced: Mapping[UUID, Decimal], *, is_money: bool
) -> Decimal:
    """Return how much more is to be held of money or of units."""
    lots = usage.lots[held.reservation.book_id]
    wanted = (part for lot, part in priced.items() if (lots[lot].wallet_id is not None) is is_money)
    return max(sum(wanted, ZERO) - held.open_of(is_money=is_money), ZERO)


def _shown(usage: UsagePricing, made: UsageReservation, held: Held) -> dict[str, object]:
    reservation, book = held.reservation, held.reservation.book
    account: WalletState = usage.batch.account_of(reservation)
    return {
        "id": reservation.pk,
        "customer_id": book.key,
        "metric": made.metric.code,
        "quantity": made.quantity,
        "status": reservation.status,
        "amount": reservation.quantity,
        "currency": account.wallet.unit["currency"],
        "held": held.open_of(is_money=True),
        "held_units": held.open_of(is_money=False),
        "captured": made.captured,
        "allocations": [allocated(lot, hold.open) for hold, lot in held.holds if hold.open > 0],
        "overage_expected": reservation.promised,
        "over_capture": reservation.over_capture,
        "grace_seconds": reservation.grace_seconds,
        "balance": account.balance,
        "expires_at": reservation.expires_at,
        "occurred_at": reservation.created_at,
    }
