"""Holds for usage, which only billing can price: one reservation on lots of any wallet.

Billing chooses the lots; captures release the holds and burn at billing's price, or burn the holds
at the price that was reserved.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from aforo.money import ZERO
from ledger.models import Book, LedgerEvent
from pricing.models import BillingMode, CreditKind
from wallets.holds import reservation_holds
from wallets.holds.reservation_holds import Held
from wallets.lots import queries, waterfall
from wallets.lots.credit_journal import CreditJournal, Returned
from wallets.models import (
    BurnStrategy,
    CreditLot,
    Debit,
    Hold,
    Reservation,
    ReservationKind,
    ReservationStatus,
    UnitWallet,
    Wallet,
)

Parts = Sequence[tuple[CreditLot, Decimal]]


@dataclass(frozen=True, slots=True)
class ReleasedHolds:
    """What was released of money and of units, and which of it to expired lots."""

    money: Decimal
    units: Decimal
    returned: Sequence[Returned]


@dataclass(frozen=True, slots=True)
class Sold:
    """What was sold of what a reservation holds, from which lots, and what none covered."""

    parts: Parts
    overage: Decimal
    entry: UUID | None


def hold(
    *,
    book: Book,
    wallet: Wallet,
    parts: Parts,
    overage: Decimal,
    now: datetime,
    expires_at: datetime,
    operation_id: UUID,
    document: Mapping[str, object],
) -> Reservation:
    """Reserve parts of lots, of money and of units, that billing has chosen for usage to come;
    `overage` is what they leave uncovered of its price. The book must be locked.
    """
    journal = CreditJournal()
    held = sum((part for lot, part in parts if lot.wallet_id is not None), ZERO)
    made = Reservation(
        book=book,
        operation_id=operation_id,
        kind=ReservationKind.USAGE,
        wallet=wallet,
        strategy=BurnStrategy.WATERFALL,
        quantity=held + overage,
        held=held,
        promised=overage,
        created_at=now,
        expires_at=expires_at,
    )
    entry = journal.entry(
        book=book,
        event=LedgerEvent.HOLD,
        occurred_at=now,
        document={**document, "reservation": str(made.id)},
    )
    made.entry_id = entry.id
    for lot, part in parts:
        entry.hold(lot, part)
    journal.write()
    made.save(force_insert=True)
    _add_holds(made, parts, first=0)
    return made


def hold_on(
    *,
    book: Book,
    reservation: Reservation,
    parts: Parts,
    unrolled: Mapping[UUID, Decimal],
    promised: Decimal,
    now: datetime,
    document: Mapping[str, object],
) -> None:
    """Reserve the rest again after a part of a reservation was captured. Of lots that have rolled,
    `unrolled` keeps the expiry before that. The book must be locked.
    """
    reservation.promised = promised
    reservation.save(update_fields=["promised"])
    if not parts:
        return
    journal = CreditJournal()
    entry = journal.entry(book=book, event=LedgerEvent.HOLD, occurred_at=now, document=document)
    for lot, part in parts:
        entry.hold(lot, part)
        if lot.expires_at is not None and lot.expires_at > now:
            lot.lapsing += unrolled.get(lot.id, ZERO)
    journal.write()
    _add_holds(reservation, parts, first=reservation.holds.count())


def _add_holds(reservation: Reservation, parts: Parts, *, first: int) -> None:
    Hold.objects.bulk_create(
        Hold(
            book_id=reservation.book_id,
            reservation=reservation,
            lot=lot,
            position=position,
            quantity=part,
        )
        for position, (lot, part) in enumerate(parts, first)
    )


def release_all(
    *, book: Book, reservation: Reservation, status: ReservationStatus, now: datetime
) -> ReleasedHolds:
    """Release everything that a reservation for usage holds; it stays open where `status` is HELD.
    The book must be locked. What went to expired lots is lapsed by the caller, after its burns
    (`lapse_returned`).
    """
    held = _read(book, reservation)
    money, units = (
        sum(
            (hold.open for hold, lot in held.holds if (lot.wallet_id is not None) is is_money), ZERO
        )
        for is_money in (True, False)
    )
    journal = CreditJournal()
    entry = journal.entry(
        book=book,
        event=LedgerEvent.RELEASE,
        occurred_at=now,
        document={"reservation": str(reservation.pk), "why": status.lower()},
    )
    reservation_holds.release_rest(entry, held)
    reservation.promised = ZERO
    if status != ReservationStatus.HELD:
        held.end(status, now)
    journal.write()
    reservation_holds.write([held])
    return ReleasedHolds(money, units, journal.returned)


def sell(
    *,
    book: Book,
    reservation: Reservation,
    wanted: Mapping[bool, Decimal],
    now: datetime,
    document: Mapping[str, object],
) -> list[Sold]:
    """Burn from a reservation's holds the wanted money (True) and units (False), each as a debit of
    its own; free credits pay what the holds do not cover, and the rest is overage, as promised. The
    book must be locked. The reservation stays open.
    """
    held = _read(book, reservation)
    sold = []
    for is_money, quantity in wanted.items():
        if quantity > 0:
            mine = [each for each in held.holds if (each[1].wallet_id is not None) is is_money]
            sold.append(_sell(book, held, mine, quantity, now, document))
    reservation_holds.write([held])
    return sold


def _sell(
    book: Book,
    held: Held,
    mine: Sequence[tuple[Hold, CreditLot]],
    quantity: Decimal,
    now: datetime,
    document: Mapping[str, object],
) -> Sold:
    journal = CreditJournal()
    entry = journal.entry(book=book, event=LedgerEvent.CAPTURE, occurred_at=now, document=document)
    parts, left = list[tuple[CreditLot, Decimal]](), quantity
    for hold_of, lot in mine:
        if (part := min(hold_of.open, left)) > 0:
            entry.release(lot, part)
            entry.burn(lot, part)
            hold_of.captured += part
            parts.append((lot, part))
            left -= part
    reservation = held.reservation
    wallet = mine[0][1].unit_wallet if mine and mine[0][1].wallet_id is None else reservation.wallet
    assert wallet is not None, "a reservation for usage is on a money wallet"
    if left > 0 and isinstance(wallet, Wallet):
        for lot, part in _free(book, wallet, left, {lot.id: lot for _, lot in held.holds}, now):
            entry.burn(lot, part)
            parts.append((lot, part))
    burned = sum((part for _, part in parts), ZERO)
    journal.write()
    Debit.objects.create(
        book=book,
        entry_id=entry.id,
        wallet=wallet if isinstance(wallet, Wallet) else None,
        unit_wallet=wallet if isinstance(wallet, UnitWallet) else None,
        quantity=quantity,
        overage=quantity - burned,
        strategy=BurnStrategy.WATERFALL,
        reservation=reservation.pk,
        occurred_at=now,
    )
    if isinstance(wallet, Wallet):
        reservation.captured += quantity
        reservation.promised = max(reservation.promised - (quantity - burned), ZERO)
    return Sold(parts, quantity - burned, entry.id)


def _free(
    book: Book, wallet: Wallet, need: Decimal, seen: Mapping[UUID, CreditLot], now: datetime
) -> list[tuple[CreditLot, Decimal]]:
    """Allocate free credits to what was promised beyond the holds."""
    open_lots = queries.open_lots([book.pk]).filter(wallet=wallet)
    lots = {lot.id: seen.get(lot.id, lot) for lot in open_lots}
    kinds = [
        kind
        for kind in wallet.burn_order
        if not (wallet.billing_mode == BillingMode.POSTPAID and kind == CreditKind.CASH)
    ]
    alive = (queries.seen_by_waterfall(lot) for lot in lots.values() if queries.is_alive(lot, now))
    found = waterfall.allocate(alive, need, kinds)
    return [(lots[each.lot], each.quantity) for each in found.allocations]


def _read(book: Book, reservation: Reservation) -> Held:
    """Return the holds of a reservation, attached to the caller's instance."""
    lots = {
        lot.id: lot for lot in queries.open_lots([book.pk]).select_related("unit_wallet__metric")
    }
    (held,) = reservation_holds.read(
        books=[book.pk], lots=lots, due_by=None, named=[reservation.pk]
    )
    held.reservation = reservation
    return held


def after_burns(
    returned: Iterable[Returned], *, burned: Mapping[UUID, Decimal], kept: Mapping[UUID, Decimal]
) -> tuple[dict[UUID, Decimal], list[Returned]]:
    """Split what went back to expired lots and was not `burned` since: what is `kept` held, by lot,
    and what may lapse now.
    """
    by_lot: dict[UUID, Returned] = {}
    for each in returned:
        before = by_lot.get(each.lot)
        by_lot[each.lot] = replace(
            each, quantity=each.quantity + (before.quantity if before else 0)
        )
    stays, lapses = {}, []
    for lot, each in by_lot.items():
        left = max(each.quantity - burned.get(lot, ZERO), ZERO)
        stays[lot] = min(left, kept.get(lot, ZERO))
        lapses.append(replace(each, quantity=left - stays[lot]))
    return stays, lapses
