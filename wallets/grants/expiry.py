"""Expiry: lots lapse, each at its own moment."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Q, QuerySet

from ledger.models import Book, LedgerEvent
from wallets import outbox
from wallets.lots import queries
from wallets.lots.credit_journal import CreditJournal
from wallets.models import CreditLot, ReservationStatus

# Asked several times for every cycle that is settled, so the ORM does not compile it.
_DUE = f"""
    SELECT EXISTS (
        SELECT FROM wallets_creditlot
        WHERE book_id = %s AND remaining > 0 AND expires_at <= %s AND frozen_at IS NULL
    ) OR EXISTS (
        SELECT FROM wallets_reservation
        WHERE book_id = %s AND status = '{ReservationStatus.HELD}' AND expires_at <= %s
    )
"""  # noqa: S608


def expire(*, book: Book, until: datetime) -> int:
    """Lapse the lots that expired at or before `until`, each at its own moment; held parts stay,
    and disputed lots wait for the end of the dispute.

    The book must be locked. Safe to repeat: a lapsed lot has nothing left. Return the number of
    lots that lapsed.
    """
    due = CreditLot.objects.filter(
        book=book, remaining__gt=0, expires_at__lte=until, frozen_at=None
    ).order_by("expires_at", "id")
    journal = CreditJournal()
    lapsed: list[tuple[CreditLot, dict[str, object]]] = []
    for lot in due:
        if lot.remaining == lot.held:
            continue
        assert lot.expires_at is not None, "the filter asks for an expiry"
        draft = journal.entry(
            book=book,
            event=LedgerEvent.EXPIRY,
            occurred_at=lot.expires_at,
            document={"lot": str(lot.id), "kind": lot.kind},
            # The lot lived up to then, so what lapses at midnight is breakage of the day that ends.
            at_period_end=True,
        )
        lapsed.append((lot, queries.measured(lot, lot.available)))
        draft.expire(lot)
    journal.write()
    outbox.credits_expired(book, lapsed)
    return len(lapsed)


def is_anything_due(*, book_id: int, until: datetime) -> bool:
    """Return whether a book may have a lot to lapse or a reservation to end by `until`."""
    with connection.cursor() as cursor:
        cursor.execute(_DUE, [book_id, until, book_id, until])
        found: bool = cursor.fetchone()[0]
    return found


def end_lots(*, book: Book, lots: QuerySet[CreditLot], at: datetime, lapses: bool = True) -> int:
    """End lots of a customer at `at`, when what granted them ends. Held parts
    lapse when they are released; unless it `lapses`, the rest waits for the usage that it still
    pays. The book must be locked. Return their number.
    """
    alive = lots.filter(
        Q(expires_at=None) | Q(expires_at__gt=at),
        book=book,
        remaining__gt=0,
        effective_at__lte=at,
    )
    journal = CreditJournal()
    for lot in alive.order_by("granted_at", "id"):
        draft = journal.entry(
            book=book,
            event=LedgerEvent.EXPIRY,
            occurred_at=at,
            document={"lot": str(lot.id), "kind": lot.kind},
            at_period_end=True,
        )
        # Every lot lives at least an instant, even one that was granted at this very moment.
        draft.move_expiry(lot, max(at, lot.effective_at + timedelta(microseconds=1)))
        if lapses and lot.available > 0:
            draft.expire(lot)
    ended = len(journal.drafts)
    journal.write()
    return ended


def lapsing_books(*, livemode: bool | None, until: datetime) -> list[int]:
    """Return the books with something to lapse, those on a test clock left out (they advance)."""
    due = CreditLot.objects.filter(
        remaining__gt=0, expires_at__lte=until, frozen_at=None, book__test_clock=None
    )
    if livemode is not None:
        due = due.filter(book__livemode=livemode)
    return list(due.order_by("book_id").values_list("book_id", flat=True).distinct())
