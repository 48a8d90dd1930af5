"""Holds for usage, which only billing can price: one reservation on lots of any wallet.

Billing chooses the lots; captures release the holds and burn at billing's price, or burn the holds
at the price that was reserved. Everything goes to the caller's journal, and is written with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from aforo.money import ZERO
from ledger.models import Book, LedgerEvent
from wallets.holds import reservation_holds
from wallets.holds.over_capture import Terms
from wallets.holds.reservation_holds import Held
from wallets.lots.consideration_tax import tax_within
from wallets.lots.credit_journal import CreditJournal, Returned
from wallets.lots.tax_rates import RateInForce
from wallets.models import (
    BurnStrategy,
    CreditLot,
    Debit,
    Hold,
    Reservation,
    ReservationKind,
    ReservationStatus,
    Wallet,
)

Parts = Sequence[tuple[CreditLot, Decimal]]


@dataclass(frozen=True, slots=True)
class ReleasedHolds:
    """What was released of money and of units, and which of it to expired lots."""

    money: Decimal
    units: Decimal
    returned: Sequence[Returned]


def hold(
    journal: CreditJournal,
    *,
    book: Book,
    wallet: Wallet,
    parts: Parts,
    overage: Decimal,
    now: datetime,
    expires_at: datetime,
    operation_id: UUID,
    document: Mapping[str, object],
    attributes: Mapping[str, str],
    terms: Terms,
) -> Held:
    """Reserve parts of lots, of money and of units, that billing has chosen for usage to come;
    `overage` is what they leave uncovered of its price. The book must be locked.
    """
    held = sum((part for lot, part in parts if lot.wallet_id is not None), ZERO)
    made = Reservation(
        book=book,
        operation_id=operation_id,
        kind=ReservationKind.USAGE,
        wallet=wallet,
        strategy=BurnStrategy.WATERFALL,
        quantity=held + overage,
        held=held,
        captured=ZERO,
        promised=overage,
        created_at=now,
        expires_at=expires_at,
        over_capture=terms.over_capture,
        grace_seconds=terms.grace_seconds,
        attributes=attributes or None,
    )
    entry = journal.entry(
        book=book,
        event=LedgerEvent.HOLD,
        occurred_at=now,
        document={**document, "reservation": str(made.id)},
        attributes=attributes,
    )
    made.entry_id = entry.id
    for lot, part in parts:
        entry.hold(lot, part)
    return Held(made, _holds(made, parts, first=0))


def hold_on(
    journal: CreditJournal,
    held: Held,
    *,
    parts: Parts,
    unrolled: Mapping[UUID, Decimal],
    now: datetime,
    document: Mapping[str, object],
) -> list[Hold]:
    """Reserve the rest again after a part of a reservation was captured; return the new holds. Of
    lots that have rolled, `unrolled` keeps the expiry before that.
    """
    if not parts:
        return []
    reservation = held.reservation
    entry = journal.entry(
        book=reservation.book,
        event=LedgerEvent.HOLD,
        occurred_at=now,
        document=document,
        attributes=reservation.attributes,
    )
    for lot, part in parts:
        entry.hold(lot, part)
        if lot.expires_at is not None and lot.expires_at > now:
            lot.lapsing += unrolled.get(lot.id, ZERO)
    added = _holds(reservation, parts, first=held.next_position)
    held.holds += added
    return [hold for hold, _ in added]


def _holds(reservation: Reservation, parts: Parts, *, first: int) -> list[tuple[Hold, CreditLot]]:
    return [
        (
            Hold(
                book_id=reservation.book_id,
                reservation=reservation,
                lot=lot,
                position=position,
                quantity=part,
                captured=ZERO,
                released=ZERO,
            ),
            lot,
        )
        for position, (lot, part) in enumerate(parts, first)
    ]


def release_all(
    journal: CreditJournal, held: Held, *, status: ReservationStatus, now: datetime
) -> ReleasedHolds:
    """Release everything that a reservation for usage holds; it stays open where `status` is HELD.
    What went to expired lots awaits `reservation_holds.lapse_returned`.
    """
    reservation, before = held.reservation, len(journal.returned)
    money, units = held.open_of(is_money=True), held.open_of(is_money=False)
    entry = journal.entry(
        book=reservation.book,
        event=LedgerEvent.RELEASE,
        occurred_at=now,
        document={"reservation": str(reservation.pk), "why": status.lower()},
        attributes=reservation.attributes,
    )
    reservation_holds.release_rest(entry, held)
    if status == ReservationStatus.VOIDED:
        reservation_holds.give_back(entry, reservation)
    reservation.promised = ZERO
    if status != ReservationStatus.HELD:
        held.end(status, now)
    return ReleasedHolds(money, units, journal.returned[before:])


def sell(
    journal: CreditJournal,
    held: Held,
    *,
    quantity: Decimal,
    is_money: bool,
    free: Parts,
    now: datetime,
    document: Mapping[str, object],
    rate: RateInForce | None = None,
) -> tuple[Debit, Parts]:
    """Burn money or units from a reservation's holds, as a debit of its own with the tax inside:
    `free` credits pay what the holds do not cover, and the rest is overage, as promised. Return the
    debit and what each lot paid. The reservation stays open.
    """
    reservation = held.reservation
    percent = ZERO if rate is None else rate.percent
    entry = journal.entry(
        book=reservation.book,
        event=LedgerEvent.CAPTURE,
        occurred_at=now,
        document={**document, **({} if rate is None else rate.facts)},
        attributes=reservation.attributes,
    )
    mine = [(hold, lot) for hold, lot in held.holds if (lot.wallet_id is not None) is is_money]
    parts, left = list[tuple[CreditLot, Decimal]](), quantity
    for hold_of, lot in mine:
        if (part := min(hold_of.open, left)) > 0:
            entry.release(lot, part)
            entry.burn(lot, part, tax=tax_within(part, percent))
            hold_of.captured += part
            parts.append((lot, part))
            left -= part
    for lot, part in free:
        entry.burn(lot, part, tax=tax_within(part, percent))
        parts.append((lot, part))
        left -= part
    made = Debit(
        book=reservation.book,
        operation_id=None,
        entry_id=entry.id,
        wallet=reservation.wallet if is_money else None,
        unit_wallet=None if is_money else mine[0][1].unit_wallet,
        quantity=quantity,
        overage=left,
        strategy=BurnStrategy.WATERFALL,
        reservation=reservation.pk,
        attributes=reservation.attributes,
        occurred_at=now,
    )
    if is_money:
        reservation.captured += quantity
        reservation.promised = max(reservation.promised - left, ZERO)
    return made, parts


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
