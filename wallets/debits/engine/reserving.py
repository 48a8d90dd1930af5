"""Reservations: hold credits on named lots, and release them."""

from __future__ import annotations

from datetime import timedelta

from aforo import money
from aforo.database import bulk
from aforo.ids import new_id
from aforo.money import ZERO
from aforo.protocol.idempotency import Answer
from ledger.models import LedgerEvent
from wallets.budgets import counters, counting
from wallets.debits.engine.batch import Batch
from wallets.debits.engine.debiting import check_credits
from wallets.debits.engine.requests import ReserveRequest, VoidRequest
from wallets.holds import over_capture, reservation_holds
from wallets.holds.over_capture import check_not_ended
from wallets.holds.reservation_holds import Held
from wallets.models import Hold, Reservation, ReservationStatus, UnitWallet, Wallet
from wallets.operations.responses import reservation_answer, void_answer


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
    for position, allocation in enumerate(outcome.allocations):
        lot = account.lots[allocation.lot]
        draft.hold(lot, allocation.quantity)
        hold = bulk.build(
            Hold,
            book_id=account.book.pk,
            reservation_id=made.id,
            lot_id=lot.id,
            position=position,
            quantity=allocation.quantity,
            captured=ZERO,
            released=ZERO,
        )
        held.holds.append((hold, lot))
        batch.holds.append(hold)
    batch.reservations.append(made)
    batch.held[made.id] = held
    body = reservation_answer(held=held, wallet=wallet, book=account.book, balance=account.balance)
    return batch.record(request, operation_id=operation_id, account=account, status=201, body=body)


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
