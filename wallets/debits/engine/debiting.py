"""Debits: burn credits now, or those that a reservation holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from aforo import money
from aforo.database import bulk
from aforo.errors import Conflict, FieldError, Invalid
from aforo.ids import new_id
from aforo.money import ZERO
from aforo.protocol.idempotency import Answer
from ledger.models import LedgerEvent
from pricing.models import OverCapture
from wallets.budgets import counters, counting
from wallets.budgets.counters import Taken
from wallets.debits.engine import over_capture
from wallets.debits.engine.accounts import WalletState
from wallets.debits.engine.batch import Batch
from wallets.debits.engine.requests import CaptureRequest, DebitRequest
from wallets.holds import reservation_holds
from wallets.holds.over_capture import check_capturable
from wallets.holds.reservation_holds import Held
from wallets.lots.consideration_tax import tax_within
from wallets.lots.credit_journal import EntryBuilder
from wallets.lots.waterfall import Allocation
from wallets.models import (
    CreditLot,
    Debit,
    Hold,
    Reservation,
    ReservationKind,
    ReservationStatus,
    UnitWallet,
    Wallet,
)
from wallets.operations.responses import debit_answer
from wallets.outbox import Unpaid


class ReservationOfUsage(Conflict):
    """The reservation is of usage, which is captured by a quantity that only billing can price.

    Capture it with `quantity` by POST /v1/usage/reservations/{id}/capture.
    """

    default_code = "reservation_of_usage"


@dataclass(frozen=True, slots=True)
class Burned:
    """A debit before it is written: what was asked for, which lots pay, and what no lot covers."""

    quantity: Decimal
    strategy: str
    allocations: tuple[Allocation, ...]
    overage: Decimal = ZERO
    reservation: UUID | None = None
    attributes: Mapping[str, str] | None = None
    debt: Decimal = ZERO
    uncovered: Decimal = ZERO

    @property
    def left(self) -> dict[str, Decimal]:
        """Return what the reservation's policy left unpaid, where it did."""
        left = {"uncovered": self.uncovered, "debt": self.debt}
        return {name: part for name, part in left.items() if part > 0}


def debit(batch: Batch, request: DebitRequest) -> Answer:
    """Burn the requested credits from the lots alive now.

    Raises: Suspended, Paused, NotCovered, Invalid, UnknownCustomer.
    """
    account = batch.account_for(request)
    outcome = account.allocate(request.need, request.strategy)
    account.check_open()
    account.check_covered(outcome, request.strategy)
    need = counting.need_of(account.wallet, request.need, request.attributes)
    taken = batch.budgets.take(account.book, need)
    burned = Burned(
        request.need,
        request.strategy,
        outcome.allocations,
        outcome.shortfall,
        attributes=request.attributes or None,
    )
    draft = batch.journal.entry(
        book=account.book,
        event=LedgerEvent.DEBIT,
        occurred_at=account.now,
        document=_document(request.key, account, burned),
        attributes=burned.attributes,
    )
    draft.count(counters.used(taken))
    _burn(draft, account, burned)
    return _record(batch, request, account, burned, draft, {})


def capture(batch: Batch, request: CaptureRequest) -> Answer:
    """Burn the credits that a reservation holds, in the order fixed when it was made.

    The burn occurs at the moment of the capture. A final one releases the rest. What goes beyond
    the holds, and within the grace after their end all of it, is a debit by the reservation's
    policy. Raises: UnknownReservation, ReservationExpired, ReservationClosed, Invalid; Suspended,
    Paused, NotCovered for what goes beyond the holds.
    """
    held = batch.held_by(request.reservation)
    reservation = held.reservation
    check_credits(held)
    account = batch.account_of(reservation)
    check_capturable(reservation, account.now)
    need = _captured(request, held, account)
    from_holds = _from_holds(held, need)
    is_late = reservation.status == ReservationStatus.EXPIRED
    beyond = over_capture.bear(
        account,
        reservation,
        need - sum((part for _, _, part in from_holds), ZERO),
        is_more=is_late or need > reservation.quantity - reservation.captured,
    )
    reserved, taken = _take(batch, account, reservation, need - beyond.uncovered)
    burned = Burned(
        need,
        reservation.strategy,
        (*(Allocation(lot.id, lot.kind, p) for _, lot, p in from_holds), *beyond.allocations),
        beyond.overage,
        reservation.id,
        reservation.attributes,
        beyond.debt,
        beyond.uncovered,
    )
    draft = batch.journal.entry(
        book=account.book,
        event=LedgerEvent.CAPTURE,
        occurred_at=account.now,
        document={
            **_document(request.key, account, burned),
            "reservation": str(reservation.id),
        },
        attributes=burned.attributes,
    )
    _count_captured(draft, reservation, reserved, taken)
    account.note_balance_before()
    # Released first, so that the same entry can burn them.
    for hold, lot, part in from_holds:
        draft.release(lot, part)
        hold.captured += part
    _burn(draft, account, burned)
    reservation.captured += need
    reservation.debt += burned.debt
    reservation.uncovered += burned.uncovered
    account.promise(reservation, held.open)
    released = ZERO
    if request.final:
        released = reservation_holds.release_rest(draft, held)
        reservation_holds.give_back(draft, reservation)
        account.promise(reservation, reservation.quantity)
        held.end(ReservationStatus.CAPTURED, account.now)
    batch.note(held, released=released)
    after = {
        "reservation": reservation.id,
        "status": reservation.status,
        "released": released,
        "held": held.open,
        **burned.left,
    }
    return _record(batch, request, account, burned, draft, after)


def check_credits(held: Held) -> None:
    """Check that a reservation is of credits.

    Raises: ReservationOfUsage.
    """
    if held.reservation.kind == ReservationKind.USAGE:
        raise ReservationOfUsage("It holds credits for usage: capture or void that.")


def _captured(request: CaptureRequest, held: Held, account: WalletState) -> Decimal:
    """Return how much is to be captured; all that is left where the request names no amount.

    Raises: Invalid (`nothing_left`, and where units are called an amount).
    """
    asked = measure(account.wallet, request.amount, request.quantity)
    left = max(held.reservation.quantity - held.reservation.captured, ZERO)
    need = left if asked is None else asked
    if need == 0:
        raise Invalid([FieldError("", "nothing_left", "Nothing is left to capture; void it.")])
    return need


def _take(
    batch: Batch, account: WalletState, reservation: Reservation, quantity: Decimal
) -> tuple[Decimal, list[Taken]]:
    """Return how much of a capture its reservation has taken of budgets, until it ended, and what
    the rest takes of them now; under REFUSE they may refuse that.

    Raises: BudgetExceeded, TooManyValues.
    """
    is_open = reservation.status == ReservationStatus.HELD
    left = max(reservation.quantity - reservation.captured, ZERO) if is_open else ZERO
    reserved = min(quantity, left)
    need = counting.need_of(account.wallet, quantity - reserved, reservation.attributes)
    refuse = reservation.over_capture == OverCapture.REFUSE
    return reserved, batch.budgets.take(account.book, need, refuse=refuse)


def measure(
    wallet: Wallet | UnitWallet, amount: Decimal | None, quantity: Decimal | None
) -> Decimal | None:
    """Return how much of a reservation on a wallet is asked for: money by `amount`, units by
    `quantity`.

    Raises: Invalid.
    """
    is_money = isinstance(wallet, Wallet)
    wrong = quantity if is_money else amount
    if wrong is not None:
        name = "quantity" if is_money else "amount"
        detail = f"The reservation is of {'money' if is_money else 'units'}."
        raise Invalid([FieldError(f"/{name}", "invalid", detail)])
    return amount if is_money else quantity


def _from_holds(held: Held, need: Decimal) -> list[tuple[Hold, CreditLot, Decimal]]:
    """Return which holds, in their order, pay how much of a need, as far as they reach."""
    parts, left = [], need
    for hold, lot in held.holds:
        taken = min(hold.open, left)
        if taken > 0:
            parts.append((hold, lot, taken))
            left -= taken
    return parts


def _count_captured(
    draft: EntryBuilder, reservation: Reservation, quantity: Decimal, more: Sequence[Taken]
) -> None:
    """Move what is captured of a reservation from held to used, in the windows of its hold, and
    count what goes beyond.
    """
    measure = counters.MONEY if reservation.unit_wallet_id is None else counters.UNITS
    reservation.counted, changes = counters.capture(reservation.counted, measure, quantity)
    draft.count([*changes, *counters.used(more)])


def _burn(draft: EntryBuilder, account: WalletState, burned: Burned) -> None:
    """Burn what pays; the tax is inside the price (docs/decisions.md#d17, #d44)."""
    account.note_balance_before()
    rate = account.tax
    percent = ZERO if rate is None else rate.percent
    for allocation in burned.allocations:
        tax = tax_within(allocation.quantity, percent)
        draft.burn(account.lots[allocation.lot], allocation.quantity, tax=tax)
    account.open_overage += burned.overage


def _record(
    batch: Batch,
    request: DebitRequest | CaptureRequest,
    account: WalletState,
    burned: Burned,
    draft: EntryBuilder,
    extra: Mapping[str, object],
) -> Answer:
    """Record the debit, and its answer under its key."""
    wallet = account.wallet
    operation_id = new_id()
    made = bulk.build(
        Debit,
        book_id=account.book.pk,
        operation_id=operation_id,
        entry_id=draft.id,
        wallet_id=wallet.pk if isinstance(wallet, Wallet) else None,
        unit_wallet_id=wallet.pk if isinstance(wallet, UnitWallet) else None,
        quantity=burned.quantity,
        overage=burned.overage,
        overage_billed=ZERO,
        debt=burned.debt,
        uncovered=burned.uncovered,
        strategy=burned.strategy,
        reservation=burned.reservation,
        attributes=burned.attributes,
        occurred_at=account.now,
    )
    batch.debits.append(made)
    if burned.left:
        batch.unpaid.append(Unpaid(account.book, wallet, made))
    body = debit_answer(
        debit=made,
        book=account.book,
        wallet=wallet,
        allocations=[(a, account.lots[a.lot]) for a in burned.allocations],
        balance=account.balance,
    )
    return batch.record(
        request, operation_id=operation_id, account=account, status=200, body={**body, **extra}
    )


def _document(key: str, account: WalletState, burned: Burned) -> dict[str, object]:
    """Return the entry's document: what was asked for, what is overage, and the tax inside."""
    rate = account.tax
    return {
        "key": key,
        "strategy": str(burned.strategy),
        "quantity": money.plain(burned.quantity),
        "overage": money.plain(burned.overage),
        **{name: money.plain(part) for name, part in burned.left.items()},
        **account.wallet.unit,
        **({} if rate is None else rate.facts),
    }
