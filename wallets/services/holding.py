"""Holds that the floor above places, on lots that it has chosen, for what it alone can price."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from ledger.models import Book, Event
from wallets import holds, reads
from wallets.journal import Journal, Returned
from wallets.models import (
    CreditLot,
    Hold,
    Reservation,
    ReservationStatus,
    Strategy,
    UnitWallet,
    Wallet,
)


@dataclass(frozen=True, slots=True)
class LetGo:
    """What was given back, and which of it went to lots whose time is over."""

    quantity: Decimal
    returned: Sequence[Returned]


def hold(
    *,
    book: Book,
    wallet: Wallet | UnitWallet,
    parts: Sequence[tuple[CreditLot, Decimal]],
    quantity: Decimal,
    now: datetime,
    expires_at: datetime,
    document: Mapping[str, object],
) -> Reservation:
    """Hold parts of one wallet's lots that the floor above has chosen. The book must be locked.

    `quantity` is what is expected to be spent; what the parts do not cover of it is overage.
    """
    journal = Journal()
    draft = journal.entry(book=book, event=Event.HOLD, occurred_at=now, document=document)
    made = Reservation(
        book=book,
        entry_id=draft.id,
        wallet=wallet if isinstance(wallet, Wallet) else None,
        unit_wallet=wallet if isinstance(wallet, UnitWallet) else None,
        strategy=Strategy.WATERFALL,
        quantity=quantity,
        held=sum((part for _, part in parts), reads.ZERO),
        created_at=now,
        expires_at=expires_at,
    )
    for lot, part in parts:
        draft.hold(lot, part)
    journal.write()
    made.save(force_insert=True)
    Hold.objects.bulk_create(
        Hold(reservation=made, lot=lot, position=position, quantity=part)
        for position, (lot, part) in enumerate(parts)
    )
    return made


def let_go(
    *, book: Book, reservations: Collection[UUID], status: ReservationStatus, now: datetime
) -> LetGo:
    """End reservations of the floor above and give back all that they hold. The book must be
    locked. What went to lots whose time is over the caller lets lapse when it has burned what it
    may (`lapse_returned`).
    """
    lots = {lot.id: lot for lot in reads.open_lots([book.pk])}
    named = [
        held
        for held in holds.read(books=[book.pk], lots=lots, due_by=None, named=reservations)
        if held.reservation.status == ReservationStatus.HELD
    ]
    journal = Journal()
    given = reads.ZERO
    for held in named:
        draft = journal.entry(
            book=book,
            event=Event.RELEASE,
            occurred_at=now,
            document={"reservation": str(held.reservation.id), "why": status.lower()},
        )
        given += holds.release_rest(draft, held)
        held.end(status, now)
    journal.write()
    holds.write(named)
    return LetGo(given, journal.returned)
