"""Open books, lock them, append entries, prove the chain."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import IntegrityError, connection, transaction

from aforo import bulk
from aforo.errors import Conflict, NotFound
from aforo.ids import new_id
from aforo.sandbox.models import TestClock
from ledger import chain, locks
from ledger.chain import Content, MovementLine
from ledger.chart import DEFAULT_CHART
from ledger.models import Account, Book, Entry, Posting
from ledger.recipes import Line

MICROSECOND = timedelta(microseconds=1)
CHUNK = 2_000


class UnknownCustomer(NotFound):
    default_code = "unknown_customer"


class BookExists(Conflict):
    default_code = "customer_exists"


def ensure_chart() -> None:
    """Write the accounts of the default chart that are missing."""
    Account.objects.bulk_create(
        [
            Account(code=code, name=name, normal=normal, statement=statement)
            for code, name, normal, statement in DEFAULT_CHART
        ],
        ignore_conflicts=True,
    )


def find_books(*, livemode: bool, keys: Collection[str]) -> dict[str, Book]:
    """Find books by customer id; unknown ones are absent."""
    sane = [key for key in keys if "\x00" not in key]
    found = Book.objects.filter(livemode=livemode, key__in=sane).select_related("test_clock")
    return {book.key: book for book in found}


def get_book(*, livemode: bool, key: str) -> Book:
    """Find one book.

    Raises: UnknownCustomer.
    """
    book = find_books(livemode=livemode, keys=[key]).get(key)
    if book is None:
        raise UnknownCustomer(f"There is no customer {key}.")
    return book


def open_book(*, livemode: bool, key: str, test_clock: TestClock | None = None) -> Book:
    """Open a customer's book.

    Raises: BookExists.
    """
    try:
        with transaction.atomic():
            return Book.objects.create(livemode=livemode, key=key, test_clock=test_clock)
    except IntegrityError as error:
        raise BookExists(f"The customer {key} exists already.") from error


def lock_books(*, ids: Collection[int], exclusive: bool = False) -> dict[int, Book]:
    """Lock books by primary key inside the caller's transaction; read what they cover afterwards.

    Raises: OperationalError after the role's lock_timeout, answered as Busy (503).
    """
    return {book.pk: book for book in locks.lock_books(ids, exclusive=exclusive)}


def lock_book(*, book_id: int, exclusive: bool = False) -> Book:
    """Lock one book inside the caller's transaction."""
    return lock_books(ids=[book_id], exclusive=exclusive)[book_id]


def share_books(*, ids: Collection[int]) -> None:
    """Hold off the sealing of cycles of these books until the caller's transaction ends."""
    locks.share_books(ids)


@dataclass(frozen=True, slots=True)
class EntryDraft:
    """An entry to be appended; `movements` are hashed here and stored by the wallets.

    `at_period_end` dates an event that happens exactly on a period's end into that period.
    """

    book: Book
    event: str
    occurred_at: datetime
    document: Mapping[str, object]
    lines: Sequence[Line] = ()
    movements: Sequence[MovementLine] = ()
    id: UUID = field(default_factory=new_id)
    at_period_end: bool = False


def append(drafts: Sequence[EntryDraft]) -> list[Entry]:
    """Append entries to their books, in order, in four statements.

    The books must be locked by the caller in this transaction. Gives each entry the next sequence
    of its book, a `recorded_at` after the one before, its accounting date and its hash; the book
    objects in memory move on too, so that several appends of one transaction follow each other.
    """
    if not drafts:
        return []
    clock, closed = _clock_and_closed_periods()
    entries = [_next_entry(draft, clock=clock, closed=closed) for draft in drafts]
    bulk.insert_models(Entry, entries)
    bulk.insert_rows(
        Posting,
        ["id", "entry_id", "position", "debit_id", "credit_id", "amount", "currency", "lot"],
        [
            [new_id(), d.id, n, x.debit, x.credit, x.amount, x.currency, x.lot]
            for d in drafts
            for n, x in enumerate(d.lines)
        ],
    )
    books = {draft.book.pk: draft.book for draft in drafts}
    bulk.update_rows(
        Book,
        "id",
        ["sequence", "head_hash", "last_recorded_at"],
        [[b.pk, b.sequence, b.head_hash, b.last_recorded_at] for b in books.values()],
    )
    return entries


def _clock_and_closed_periods() -> tuple[datetime, list[tuple[date, date]]]:
    """Read the database clock after the lock, and the closed months of the live books."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT clock_timestamp(), array(SELECT daterange(starts_on, ends_on)::text "
            "FROM ledger_period WHERE status = 'CLOSED' ORDER BY starts_on)"
        )
        clock, ranges = cursor.fetchone()
    return clock, [_read_range(text) for text in ranges]


def _read_range(text: str) -> tuple[date, date]:
    starts_on, _, ends_on = text.strip("[)").partition(",")
    return date.fromisoformat(starts_on), date.fromisoformat(ends_on)


def _accounting_date(draft: EntryDraft, closed: Sequence[tuple[date, date]]) -> date:
    """Date an entry in the entity's zone, or to the first open day after a closed period.

    (DECISIONS 21; the sandbox never closes.)
    """
    moment = draft.occurred_at - MICROSECOND if draft.at_period_end else draft.occurred_at
    day = moment.astimezone(ZoneInfo(settings.ENTITY_TIMEZONE)).date()
    if draft.book.livemode:
        for starts_on, ends_on in closed:
            if starts_on <= day < ends_on:
                day = ends_on
    return day


def _next_entry(
    draft: EntryDraft, *, clock: datetime, closed: Sequence[tuple[date, date]]
) -> Entry:
    book = draft.book
    recorded_at = clock
    if book.last_recorded_at is not None:
        recorded_at = max(clock, book.last_recorded_at + MICROSECOND)
    content = Content(
        livemode=book.livemode,
        book=book.key,
        sequence=book.sequence + 1,
        event=str(draft.event),
        occurred_at=draft.occurred_at,
        recorded_at=recorded_at,
        accounting_date=_accounting_date(draft, closed),
        document=draft.document,
        lines=draft.lines,
        movements=draft.movements,
    )
    entry = Entry(
        id=draft.id,
        book=book,
        sequence=content.sequence,
        event=content.event,
        occurred_at=content.occurred_at,
        recorded_at=recorded_at,
        accounting_date=content.accounting_date,
        document=content.document,
        prev_hash=book.head_hash,
        hash=chain.entry_hash(content, book.head_hash),
    )
    book.sequence, book.head_hash, book.last_recorded_at = entry.sequence, entry.hash, recorded_at
    return entry


MovementsOf = Callable[[Sequence[UUID]], Mapping[UUID, Sequence[MovementLine]]]


@dataclass(frozen=True, slots=True)
class BadEntry:
    """The first row that does not hold."""

    entry: str
    reason: str


@dataclass(frozen=True, slots=True)
class ChainReport:
    entries: int
    first_bad: BadEntry | None


def verify_chain(*, book: Book, movements: MovementsOf) -> ChainReport:
    """Prove a book's chain from its first entry to its head, in chunks.

    `movements` gives the movements of entries, which the wallets keep. Read it inside one
    REPEATABLE READ snapshot. Finds what was edited, inserted, deleted, reordered or cut off.
    """
    count, prev_hash, recorded_at = 0, "", None
    for entry, lines, moved in _with_parts(book, movements):
        bad = _check_link(entry, sequence=count + 1, prev_hash=prev_hash, after=recorded_at)
        if bad is None and entry.hash != _rehash(book, entry, lines, moved):
            bad = "the content does not match its hash"
        if bad is not None:
            return ChainReport(count, BadEntry(f"{book.key}#{entry.sequence}", bad))
        count, prev_hash, recorded_at = count + 1, entry.hash, entry.recorded_at
    if (count, prev_hash) != (book.sequence, book.head_hash):
        reason = f"the book's head is at {book.sequence}, its last entry is {count}"
        return ChainReport(count, BadEntry(f"{book.key}#{count + 1}", reason))
    return ChainReport(count, None)


def _check_link(
    entry: Entry, *, sequence: int, prev_hash: str, after: datetime | None
) -> str | None:
    if entry.sequence != sequence:
        return f"sequence {sequence} is missing"
    if entry.prev_hash != prev_hash:
        return "it does not follow the entry before it"
    if after is not None and entry.recorded_at <= after:
        return "it was recorded before the entry before it"
    return None


def _rehash(
    book: Book, entry: Entry, lines: Sequence[Line], movements: Sequence[MovementLine]
) -> str:
    content = Content(
        livemode=book.livemode,
        book=book.key,
        sequence=entry.sequence,
        event=entry.event,
        occurred_at=entry.occurred_at,
        recorded_at=entry.recorded_at,
        accounting_date=entry.accounting_date,
        document=entry.document,
        lines=lines,
        movements=movements,
    )
    return chain.entry_hash(content, entry.prev_hash)


def _with_parts(
    book: Book, movements: MovementsOf
) -> Iterator[tuple[Entry, list[Line], Sequence[MovementLine]]]:
    """Give a book's entries in sequence with their postings and movements, in bounded memory."""
    last = 0
    while True:
        entries = list(
            Entry.objects.filter(book=book, sequence__gt=last).order_by("sequence")[:CHUNK]
        )
        if not entries:
            return
        ids = [entry.id for entry in entries]
        lines: dict[UUID, list[Line]] = {entry_id: [] for entry_id in ids}
        for p in Posting.objects.filter(entry_id__in=ids).order_by("entry_id", "position"):
            lines[p.entry_id].append(Line(p.debit_id, p.credit_id, p.amount, p.currency, p.lot))
        moved = movements(ids)
        for entry in entries:
            yield entry, lines[entry.id], moved.get(entry.id, ())
        last = entries[-1].sequence
