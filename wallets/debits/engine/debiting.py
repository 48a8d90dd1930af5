"""Debits: burn credits now, or those that a reservation holds."""

from __future__ import annotations

from collections.abc import Mapping
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
from wallets.debits.engine.accounts import WalletState
from wallets.debits.engine.batch import Batch
from wallets.debits.engine.requests import CaptureRequest, DebitRequest
from wallets.holds import reservation_holds
from wallets.holds.reservation_holds import Held
from wallets.lots.credit_journal import EntryBuilder
from wallets.lots.waterfall import Allocated, Allocation
from wallets.models import (
    Debit,
    Reservation,
    ReservationKind,
    ReservationStatus,
    UnitWallet,
    Wallet,
)
from wallets.operations.responses import debit_answer


class ReservationExpired(Conflict):
    """The reservation ended at its `expires_at`; what it held is free again.

    Debit instead, or reserve anew, for longer.
    """

    default_code = "reservation_expired"


class ReservationClosed(Conflict):
    """The reservation was captured or voided already.

    Read it by GET /v1/wallets/reservations/{id}; reserve anew if something is left to do.
    """

    default_code = "reservation_closed"


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


def debit(batch: Batch, request: DebitRequest) -> Answer:
    """Burn the requested credits from the lots alive now.

    Raises: Suspended, Paused, NotCovered, Invalid, UnknownCustomer.
    """
    account = batch.account_for(request)
    outcome = account.allocate(request.need, request.strategy)
    account.check_open()
    account.check_covered(outcome, request.strategy)
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
    _burn(draft, account, burned)
    return _record(batch, request, account, burned, draft, {})


def capture(batch: Batch, request: CaptureRequest) -> Answer:
    """Burn the credits that a reservation holds, in the order fixed when it was made.

    The burn occurs at the moment of the capture. A final one releases the rest. Raises:
    UnknownReservation, ReservationExpired, ReservationClosed, Invalid (`exceeds_reservation`),
    NotCovered for what goes beyond the holds.
    """
    held = batch.held_by(request.reservation)
    reservation = held.reservation
    check_held(held)
    account = batch.account_of(reservation)
    need = _captured(request, held, account)
    from_holds = _from_holds(held, need)
    beyond = _beyond(account, held, need, from_holds)
    burned = Burned(
        need,
        reservation.strategy,
        (*from_holds, *beyond.allocations),
        beyond.shortfall,
        reservation.id,
        reservation.attributes,
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
    account.note_balance_before()
    _release_captured(draft, held, from_holds)
    _burn(draft, account, burned)
    reservation.captured += need
    account.promise(reservation, held.open)
    released = ZERO
    if request.final:
        released = reservation_holds.release_rest(draft, held)
        account.promise(reservation, reservation.quantity)
        held.end(ReservationStatus.CAPTURED, account.now)
    batch.note(held, released=released)
    after = {
        "reservation": reservation.id,
        "status": reservation.status,
        "released": released,
        "held": held.open,
    }
    return _record(batch, request, account, burned, draft, after)


def _beyond(
    account: WalletState, held: Held, need: Decimal, from_holds: list[Allocation]
) -> Allocated:
    """Allocate what a capture needs beyond the holds. What was reserved is honoured even if the
    customer was suspended since; anything more is a new debit.

    Raises: Suspended, Paused, NotCovered.
    """
    rest = need - sum((part.quantity for part in from_holds), ZERO)
    if rest == 0:
        return Allocated((), ZERO)
    reservation = held.reservation
    if need > reservation.quantity - reservation.captured:
        account.check_open()
    beyond = account.allocate(rest, reservation.strategy)
    account.check_covered(beyond, reservation.strategy, promised=reservation.promised)
    return beyond


def check_held(held: Held) -> None:
    """Check that a reservation is of credits and still open.

    Raises: ReservationOfUsage, ReservationExpired, ReservationClosed.
    """
    if held.reservation.kind == ReservationKind.USAGE:
        raise ReservationOfUsage("It holds credits for usage: capture or void that.")
    check_not_ended(held.reservation)


def check_not_ended(reservation: Reservation) -> None:
    """Check that a reservation is still open.

    Raises: ReservationExpired, ReservationClosed.
    """
    if reservation.status == ReservationStatus.EXPIRED:
        raise ReservationExpired("The reservation's time is over; its credits were released.")
    if reservation.status != ReservationStatus.HELD:
        raise ReservationClosed(f"The reservation was {reservation.status.lower()} already.")


def _captured(request: CaptureRequest, held: Held, account: WalletState) -> Decimal:
    """Return how much is to be captured; all that is left where the request names no amount.

    Raises: Invalid (`exceeds_reservation`, and where units are called an amount).
    """
    is_money = isinstance(account.wallet, Wallet)
    wrong = request.quantity if is_money else request.amount
    if wrong is not None:
        name = "quantity" if is_money else "amount"
        detail = f"The reservation is of {'money' if is_money else 'units'}."
        raise Invalid([FieldError(f"/{name}", "invalid", detail)])
    asked = request.amount if is_money else request.quantity
    left = max(held.reservation.quantity - held.reservation.captured, ZERO)
    need = left if asked is None else asked
    if need == 0:
        raise Invalid([FieldError("", "nothing_left", "Nothing is left to capture; void it.")])
    if need > left and not request.allow_more:
        name = "amount" if is_money else "quantity"
        detail = f"{money.plain(left)} is left of it; allow_more debits what goes beyond."
        raise Invalid([FieldError(f"/{name}", "exceeds_reservation", detail)])
    return need


def _from_holds(held: Held, need: Decimal) -> list[Allocation]:
    """Allocate a need to the holds in their order, as far as they reach."""
    parts, left = [], need
    for hold, lot in held.holds:
        taken = min(hold.open, left)
        if taken > 0:
            parts.append(Allocation(lot.id, lot.kind, taken))
            left -= taken
    return parts


def _release_captured(draft: EntryBuilder, held: Held, parts: list[Allocation]) -> None:
    """Release the captured holds, so that the same entry can burn them."""
    taken = {part.lot: part.quantity for part in parts}
    for hold, lot in held.holds:
        quantity = taken.get(lot.id)
        if quantity is not None:
            draft.release(lot, quantity)
            hold.captured += quantity


def _burn(draft: EntryBuilder, account: WalletState, burned: Burned) -> None:
    account.note_balance_before()
    for allocation in burned.allocations:
        draft.burn(account.lots[allocation.lot], allocation.quantity)
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
        strategy=burned.strategy,
        reservation=burned.reservation,
        attributes=burned.attributes,
        occurred_at=account.now,
    )
    batch.debits.append(made)
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
    """Return the entry's document: what was asked for, and what is overage."""
    return {
        "key": key,
        "strategy": str(burned.strategy),
        "quantity": money.plain(burned.quantity),
        "overage": money.plain(burned.overage),
        **account.wallet.unit,
    }
