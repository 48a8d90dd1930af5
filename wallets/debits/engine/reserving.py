"""Reservations: hold credits on named lots, and release them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from aforo import money
from aforo.database import bulk
from aforo.errors import FieldError, Invalid
from aforo.ids import new_id
from aforo.money import ZERO
from aforo.protocol.idempotency import Answer
from ledger.models import LedgerEvent
from wallets.budgets import counters, counting
from wallets.debits.engine.accounts import WalletState
from wallets.debits.engine.batch import Batch
from wallets.debits.engine.debiting import check_credits, measure
from wallets.debits.engine.requests import (
    MAX_EXTENDED,
    ExtendRequest,
    ReserveRequest,
    VoidRequest,
)
from wallets.holds import over_capture, reservation_holds
from wallets.holds.over_capture import check_not_ended
from wallets.holds.reservation_holds import Held
from wallets.lots.credit_journal import EntryBuilder
from wallets.lots.waterfall import Allocation
from wallets.models import Hold, Reservation, ReservationStatus, UnitWallet, Wallet
from wallets.operations.responses import extend_answer, reservation_answer, void_answer


def reserve(batch: Batch, request: ReserveRequest) -> Answer:
    """Reserve the requested credits on the lots alive now; HYBRID and POSTPAID may expect overage.

    Raises: Suspended, Paused, NotCovered, Invalid, UnknownCustomer.
    """
    account = batch.account_for(request)
    terms = over_capture.terms(account.wallet, request.over_capture, request.grace_seconds)
    outcome = account.allocate(request.need, request.strategy)
    account.check_open()
    account.check_covered(outcome, request.strategy)
    need = counting.need_of(account.wallet, request.need, request.attributes)
    taken = batch.budgets.take(account.book, need)
    wallet, operation_id, reservation_id = account.wallet, new_id(), new_id()
    expires_at = account.now + timedelta(seconds=request.expires_in)
    draft = batch.journal.entry(
        book=account.book,
        event=LedgerEvent.HOLD,
        occurred_at=account.now,
        document={
            "key": request.key,
            "reservation": str(reservation_id),
            "strategy": str(request.strategy),
            "quantity": money.plain(request.need),
            "overage_expected": money.plain(outcome.shortfall),
            **account.wallet.unit,
        },
        attributes=request.attributes,
    )
    draft.count(counters.held(taken))
    made = bulk.build(
        Reservation,
        id=reservation_id,
        book_id=account.book.pk,
        operation_id=operation_id,
        entry_id=draft.id,
        wallet_id=wallet.pk if isinstance(wallet, Wallet) else None,
        unit_wallet_id=wallet.pk if isinstance(wallet, UnitWallet) else None,
        strategy=request.strategy,
        quantity=request.need,
        held=outcome.covered,
        captured=ZERO,
        promised=outcome.shortfall,
        over_capture=terms.over_capture,
        grace_seconds=terms.grace_seconds,
        created_at=account.now,
        expires_at=expires_at,
        attributes=request.attributes or None,
        counted=counters.hold(None, taken),
    )
    made.book = account.book
    held = Held(made, [])
    account.promised += made.promised
    account.note_balance_before()
    batch.holds += hold_parts(draft, held, account, outcome.allocations)
    batch.reservations.append(made)
    batch.held[made.id] = held
    body = reservation_answer(held=held, wallet=wallet, book=account.book, balance=account.balance)
    return batch.record(request, operation_id=operation_id, account=account, status=201, body=body)


def extend(batch: Batch, request: ExtendRequest) -> Answer:
    """Extend a reservation, in time or by more credits: the addition is taken from the lots alive
    now and burns after what was held before.

    More time is given also to a customer who was suspended since; more credits are a reservation of
    their own. Raises: UnknownReservation, ReservationOfUsage, ReservationExpired,
    ReservationClosed, Invalid; Suspended, Paused, NotCovered, which leave it as it was.
    """
    held = batch.held_by(request.reservation)
    check_credits(held)
    reservation = held.reservation
    check_not_ended(reservation)
    account = batch.account_of(reservation)
    more = measure(account.wallet, request.amount, request.quantity)
    expires_at = extended(reservation, request.expires_in, account.now)
    if more is not None:
        _hold_more(batch, account, held, more, request.key)
    reservation.expires_at = expires_at
    batch.note(held, released=ZERO)
    body = extend_answer(
        held=held, wallet=account.wallet, book=account.book, balance=account.balance
    )
    return batch.record(request, operation_id=new_id(), account=account, status=200, body=body)


def extended(reservation: Reservation, expires_in: int | None, now: datetime) -> datetime:
    """Return the end of a reservation that is extended until so many seconds from now; it never
    ends sooner than before.

    Raises: Invalid (`held_too_long`).
    """
    if expires_in is None:
        return reservation.expires_at
    asked = now + timedelta(seconds=expires_in)
    if asked <= reservation.expires_at:
        return reservation.expires_at
    if asked > reservation.created_at + timedelta(seconds=MAX_EXTENDED):
        detail = "An extended reservation ends at most 7 days after it was made."
        raise Invalid([FieldError("/expires_in", "held_too_long", detail)])
    return asked


def _hold_more(batch: Batch, account: WalletState, held: Held, more: Decimal, key: str) -> None:
    reservation = held.reservation
    account.check_open()
    outcome = account.allocate(more, reservation.strategy)
    account.check_covered(outcome, reservation.strategy)
    need = counting.need_of(account.wallet, more, reservation.attributes)
    taken = batch.budgets.take(account.book, need)
    draft = batch.journal.entry(
        book=account.book,
        event=LedgerEvent.HOLD,
        occurred_at=account.now,
        document={
            "key": key,
            "reservation": str(reservation.id),
            "strategy": str(reservation.strategy),
            "quantity": money.plain(more),
            "overage_expected": money.plain(outcome.shortfall),
            **account.wallet.unit,
        },
        attributes=reservation.attributes,
    )
    draft.count(counters.held(taken))
    reservation.counted = counters.hold(reservation.counted, taken)
    account.note_balance_before()
    reservation.quantity += more
    reservation.held += outcome.covered
    reservation.promised += outcome.shortfall
    account.promised += outcome.shortfall
    batch.holds += hold_parts(draft, held, account, outcome.allocations)


def hold_parts(
    draft: EntryBuilder, held: Held, account: WalletState, parts: Sequence[Allocation]
) -> list[Hold]:
    """Reserve parts of lots, behind what a reservation holds already; return the new holds."""
    added = []
    for position, part in enumerate(parts, held.next_position):
        lot = account.lots[part.lot]
        draft.hold(lot, part.quantity)
        hold = bulk.build(
            Hold,
            book_id=account.book.pk,
            reservation_id=held.reservation.id,
            lot_id=lot.id,
            position=position,
            quantity=part.quantity,
            captured=ZERO,
            released=ZERO,
        )
        held.holds.append((hold, lot))
        added.append(hold)
    return added


def void(batch: Batch, request: VoidRequest) -> Answer:
    """Release what a reservation holds; what falls back to an expired lot lapses at once.

    Raises: UnknownReservation, ReservationExpired, ReservationClosed.
    """
    held = batch.held_by(request.reservation)
    check_credits(held)
    reservation = held.reservation
    check_not_ended(reservation)
    account = batch.account_of(reservation)
    draft = batch.journal.entry(
        book=account.book,
        event=LedgerEvent.RELEASE,
        occurred_at=account.now,
        document={"key": request.key, "reservation": str(reservation.id), "why": "voided"},
        attributes=reservation.attributes,
    )
    released = reservation_holds.release_rest(draft, held)
    reservation_holds.give_back(draft, reservation)
    account.promised -= reservation.promised
    held.end(ReservationStatus.VOIDED, account.now)
    batch.note(held, released=released)
    body = void_answer(
        held=held,
        wallet=account.wallet,
        book=account.book,
        released=released,
        entry=draft.id,
        balance=account.balance,
    )
    return batch.record(request, operation_id=new_id(), account=account, status=200, body=body)
