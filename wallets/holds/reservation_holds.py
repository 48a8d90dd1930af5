"""Holds of reservations: read, and released to the lots that they are on.

A hold ends at its reservation's moment exactly. Whoever changes a book's credits ends due
reservations first, in the same transaction, so no result depends on when a sweep ran.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from aforo import actors
from aforo.database.bulk import Writes
from aforo.database.together import Part, among, select_together
from aforo.money import ZERO
from ledger.models import Book, LedgerEvent
from wallets import outbox, port
from wallets.budgets import counters
from wallets.lots.credit_journal import CreditJournal, EntryBuilder, Returned
from wallets.models import CreditLot, Hold, Reservation, ReservationStatus

_OF_RESERVATION = "JOIN wallets_reservation AS r ON r.id = t.reservation_id"
RESERVED = [
    "quantity", "held", "captured", "promised", "uncovered", "debt", "status", "expires_at",
    "ended_at", "counted",
]  # fmt: skip


@dataclass(slots=True, eq=False)
class Held:
    """A reservation with its holds in their order, and the lots that they are on."""

    reservation: Reservation
    holds: list[tuple[Hold, CreditLot]]
    # How many positions it has used, those of holds on spent lots included.
    used: int = 0

    @property
    def open(self) -> Decimal:
        """Return what it still holds."""
        return sum((hold.open for hold, _ in self.holds), ZERO)

    @property
    def next_position(self) -> int:
        """Return the position of the next hold, behind all that it ever had."""
        return max([self.used, *(hold.position + 1 for hold, _ in self.holds)])

    @property
    def by_lot(self) -> dict[UUID, Decimal]:
        """Return what is held of each lot, in the order fixed by the reservation."""
        held: dict[UUID, Decimal] = {}
        for hold, lot in self.holds:
            if hold.open > 0:
                held[lot.id] = held.get(lot.id, ZERO) + hold.open
        return held

    def open_of(self, *, is_money: bool) -> Decimal:
        """Return what it still holds of money or of units."""
        mine = (hold.open for hold, lot in self.holds if (lot.wallet_id is not None) is is_money)
        return sum(mine, ZERO)

    def is_due(self, now: datetime) -> bool:
        """Return whether it has timed out, be it recorded or not."""
        status = self.reservation.status
        return status == ReservationStatus.HELD and self.reservation.expires_at <= now

    def end(self, status: ReservationStatus, at: datetime) -> None:
        """Close the reservation; nothing of it may be held any more."""
        self.reservation.status, self.reservation.ended_at = status, at
        self.reservation.promised = ZERO


def read(
    *,
    books: Collection[int],
    lots: Mapping[UUID, CreditLot],
    due_by: datetime | None,
    named: Collection[UUID] = (),
) -> list[Held]:
    """Return the reservations of books that are due by a moment, and those that are named.

    `lots` are all open lots of the books in question.
    """
    found = select_together(parts(named=named, books=books, due_by=due_by))
    return assemble(found.rows, lots)


def parts(
    *, named: Collection[UUID], books: Collection[int], due_by: datetime | None
) -> list[Part]:
    """Return what is to be read of the reservations of books that are due by a moment, and of those
    that are named: themselves and their holds, by turns.

    The due and the named are read apart: no index finds both.
    """
    wanted: list[tuple[str, list[Any]]] = []
    if due_by is not None:
        mine, asked = among("r.book_id", books)
        wanted.append((f"{mine} AND r.status = 'HELD' AND r.expires_at <= %s", [*asked, due_by]))
    if named:
        wanted.append(among("r.id", named))
    return [
        part
        for which, asked in wanted
        for part in (
            Part(Reservation, f"WHERE {which.replace('r.', 't.')}", asked),
            Part(Hold, f"{_OF_RESERVATION} WHERE {which}", asked),
        )
    ]


def assemble(rows: Sequence[Sequence[Any]], lots: Mapping[UUID, CreditLot]) -> list[Held]:
    """Return reservations with their holds from the rows of `parts`, holds on spent lots left out;
    the first to time out comes first.
    """
    reservations = {each.id: each for found in rows[::2] for each in found}
    holds = {hold.id: hold for found in rows[1::2] for hold in found}
    read = {each.id: Held(each, []) for each in reservations.values()}
    for hold in sorted(holds.values(), key=lambda hold: hold.position):
        held = read[hold.reservation_id]
        held.used = hold.position + 1
        if hold.lot_id in lots:
            held.holds.append((hold, lots[hold.lot_id]))
    return sorted(
        read.values(), key=lambda held: (held.reservation.expires_at, held.reservation.id)
    )


def give_back(draft: EntryBuilder, reservation: Reservation) -> None:
    """Return to budgets what a reservation holds of them, each part to its window."""
    draft.count(counters.release(reservation.counted))
    reservation.counted = None


def release_rest(draft: EntryBuilder, held: Held) -> Decimal:
    """Release what a reservation holds; what goes to expired lots awaits `lapse_returned`. Return
    the quantity.
    """
    given = ZERO
    for hold, lot in held.holds:
        if (quantity := hold.open) > 0:
            unrolled = draft.release(lot, quantity)
            draft.note_return(lot, quantity, unrolled)
            hold.released += quantity
            given += quantity
    return given


@actors.acting(actors.job("lapse"))
def lapse_returned(returned: Iterable[Returned]) -> dict[UUID, Decimal]:
    """Pay usage from credits that came back to expired lots, and lapse the rest at once
    (docs/decisions.md#d16, #d26); return what lapsed, by lot.

    The books must be locked, and what brought the credits back written.
    """
    lapsed: dict[UUID, Decimal] = {}
    for each in returned:
        is_over = port.billing().credits_returned(each.book, each.expired_at, each.at)
        lot = CreditLot.objects.get(pk=each.lot)
        rest = min(each.quantity, lot.available)
        if is_over and rest > 0:
            journal = CreditJournal()
            lapse(journal, each.book, lot, rest, at=each.at)
            journal.write()
            lapsed[lot.id] = lapsed.get(lot.id, ZERO) + rest
    return lapsed


def lapse(
    journal: CreditJournal, book: Book, lot: CreditLot, quantity: Decimal, *, at: datetime
) -> None:
    """Lapse part of an expired lot, in an entry of its own."""
    draft = journal.entry(
        book=book,
        event=LedgerEvent.EXPIRY,
        occurred_at=at,
        document={"lot": str(lot.id), "kind": lot.kind},
    )
    draft.expire(lot, quantity)


@actors.acting(actors.job("hold_timeout"))
def time_out(journal: CreditJournal, held: Held) -> None:
    """End a reservation that is due, at its moment, and write the notice of it."""
    reservation = held.reservation
    outbox.reservation_expired(reservation, held.open)
    draft = journal.entry(
        book=reservation.book,
        event=LedgerEvent.RELEASE,
        occurred_at=reservation.expires_at,
        document={"reservation": str(reservation.id), "why": "timed out"},
        attributes=reservation.attributes,
    )
    release_rest(draft, held)
    give_back(draft, reservation)
    held.end(ReservationStatus.EXPIRED, reservation.expires_at)


def write(changed: Iterable[Held]) -> None:
    """Write changed reservations and their holds."""
    writes = Writes()
    add_to(writes, changed)
    writes.execute()


def add_to(writes: Writes, changed: Iterable[Held]) -> None:
    """Add changed reservations and their holds to what one statement is to write."""
    every = list(changed)
    writes.update_rows(
        Reservation,
        "id",
        RESERVED,
        [
            [reservation.id, *(getattr(reservation, name) for name in RESERVED)]
            for reservation in (held.reservation for held in every)
        ],
    )
    writes.update_rows(
        Hold,
        "id",
        ["captured", "released"],
        [[h.id, h.captured, h.released] for held in every for h, _ in held.holds],
    )


def due_by_lot(*, book: Book, lots: Iterable[CreditLot], moment: datetime) -> dict[UUID, Decimal]:
    """Return, by lot, what is recorded as held by reservations that are over at a moment; reads
    nothing where nothing is held.
    """
    if not any(lot.held > 0 for lot in lots):
        return {}
    due = Reservation.objects.filter(
        book=book, status=ReservationStatus.HELD, expires_at__lte=moment
    ).prefetch_related("holds")
    return timed_out(list(due), moment)


def timed_out(reservations: Sequence[Reservation], now: datetime) -> dict[UUID, Decimal]:
    """Return, by lot, what is recorded as held by reservations whose time is over."""
    free: dict[UUID, Decimal] = {}
    for reservation in reservations:
        if reservation.expires_at <= now:
            for hold in reservation.holds.all():
                free[hold.lot_id] = free.get(hold.lot_id, ZERO) + hold.open
    return free
