"""Reservations as they stand: read, and ended at their moment by the sweep."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet, Value
from django.db.models.functions import Coalesce

from aforo.database import bulk
from aforo.errors import NotFound
from aforo.money import ZERO
from aforo.sandbox.services import now_for
from ledger.models import Book
from wallets import port
from wallets.holds import reservation_holds
from wallets.lots import queries
from wallets.lots.credit_journal import CreditJournal
from wallets.lots.queries import measured
from wallets.models import Reservation, ReservationStatus


class UnknownReservation(NotFound):
    """No reservation of the key's mode has this id.

    Use the `id` that the reservation answered.
    """

    default_code = "unknown_reservation"


def find_customers(*, livemode: bool, ids: Collection[UUID]) -> dict[UUID, str]:
    """Find whose reservations are, without locking anything; unknown ones are absent."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT r.id, b.key FROM wallets_reservation AS r"
            " JOIN ledger_book AS b ON b.id = r.book_id"
            " WHERE r.id = ANY(%s::uuid[]) AND b.livemode = %s",
            [list(ids), livemode],
        )
        return dict(cursor.fetchall())


_DUE = "WHERE t.book_id = %s AND t.status = 'HELD' AND t.expires_at <= %s LIMIT 1"


def release_due(*, book: Book, until: datetime) -> int:
    """End the reservations whose time is over at `until`, each at its own moment.

    The book must be locked. What is set free pays arrears first, and lapses where its lot has.
    Return the number of reservations that ended; repeating ends none twice.
    """
    if not bulk.select_models(Reservation, _DUE, [book.pk, until]):
        return 0
    lots = {lot.id: lot for lot in queries.open_lots([book.pk])}
    due = reservation_holds.read(books=[book.pk], lots=lots, due_by=until)
    journal = CreditJournal()
    for held in due:
        held.reservation.book = book
        reservation_holds.time_out(journal, held)
    journal.write()
    reservation_holds.write(due)
    reservation_holds.lapse_returned(journal.returned)
    port.billing().credits_arrived(book)
    return len(due)


def _on_record_as_held(until: datetime | Coalesce) -> QuerySet[Reservation]:
    """Return the reservations whose time is over at `until` and whose end is not yet written
    down.
    """
    return Reservation.objects.filter(status=ReservationStatus.HELD, expires_at__lte=until)


def books_to_release(*, livemode: bool | None, until: datetime) -> list[int]:
    """Return the books with a reservation that is due, those on a test clock left out."""
    due = _on_record_as_held(until).filter(book__test_clock=None)
    if livemode is not None:
        due = due.filter(book__livemode=livemode)
    return list(due.order_by("book_id").values_list("book_id", flat=True).distinct())


def reservations(*, livemode: bool) -> QuerySet[Reservation]:
    """Return a mode's reservations, ready to be described."""
    mine = Reservation.objects.filter(book__livemode=livemode)
    return mine.select_related(
        "book__test_clock", "wallet", "unit_wallet__metric"
    ).prefetch_related("holds__lot")


def in_status(found: QuerySet[Reservation], *, status: str, now: datetime) -> QuerySet[Reservation]:
    """Filter the reservations that are in a status now, by their customer's clock if it has one."""
    over = _on_record_as_held(Coalesce("book__test_clock__now", Value(now))).values("pk")
    match status:
        case ReservationStatus.HELD:
            return found.filter(status=status).exclude(pk__in=over)
        case ReservationStatus.EXPIRED:
            return found.filter(Q(status=status) | Q(pk__in=over))
    return found.filter(status=status)


def get_reservation(*, livemode: bool, reservation_id: UUID) -> Reservation:
    """Return a reservation.

    Raises: UnknownReservation.
    """
    found = reservations(livemode=livemode).filter(pk=reservation_id).first()
    if found is None:
        raise UnknownReservation(f"There is no reservation {reservation_id}.")
    return found


def _held(reservation: Reservation) -> tuple[Decimal, Decimal]:
    """Sum what a reservation has on record as held: of money, and of units."""
    of_units = {True: ZERO, False: ZERO}
    for hold in reservation.holds.all():
        of_units[hold.lot.wallet_id is None] += hold.open
    return of_units[False], of_units[True]


def describe_reservation(reservation: Reservation) -> dict[str, object]:
    """Return a reservation as it is now: over at its moment, whether or not that is on record."""
    wallet = reservation.wallet or reservation.unit_wallet
    assert wallet is not None, "a reservation is on one wallet"
    status, ended_at = reservation.status, reservation.ended_at
    held, held_units = _held(reservation)
    is_due = reservation.expires_at <= now_for(reservation.book)
    if status == ReservationStatus.HELD and is_due:
        status, ended_at = ReservationStatus.EXPIRED, reservation.expires_at
        held = held_units = ZERO
    return {
        "id": reservation.id,
        "customer_id": reservation.book.key,
        **measured(wallet, reservation.quantity),
        "strategy": reservation.strategy,
        **({"attributes": reservation.attributes} if reservation.attributes else {}),
        "status": status,
        "held": held_units if reservation.unit_wallet_id is not None else held,
        "held_units": held_units,
        "captured": reservation.captured,
        "over_capture": reservation.over_capture,
        "grace_seconds": reservation.grace_seconds,
        "uncovered": reservation.uncovered,
        "debt": reservation.debt,
        "created_at": reservation.created_at,
        "expires_at": reservation.expires_at,
        "ended_at": ended_at,
    }
