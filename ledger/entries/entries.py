"""Append entries: the only writer of the books, and the hottest path of the product."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection

from aforo import actors
from aforo.actors import Actor
from aforo.database import bulk
from aforo.errors import InvariantBroken
from aforo.ids import new_id
from ledger import locks
from ledger.entries import hash_chain
from ledger.entries.hash_chain import Content, MovementLine
from ledger.models import Book, Entry, Posting
from ledger.posting_rules import PostingLine, allowed_pairs

MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class EntryDraft:
    """An entry to be appended; `movements` are hashed here and stored by the wallets.

    `at_period_end` dates an event that happens exactly on a period's end into that period. The
    actor is whoever acts as it is drafted. Of the document, `reason` (a sentence) and `attributes`
    (an object) can be filtered by.

    Raises: InvariantBroken, where nobody acts.
    """

    book: Book
    event: str
    occurred_at: datetime
    document: Mapping[str, object]
    lines: Sequence[PostingLine] = ()
    movements: Sequence[MovementLine] = ()
    id: UUID = field(default_factory=new_id)
    at_period_end: bool = False
    actor: Actor = field(default_factory=actors.current)


@dataclass(slots=True)
class _Head:
    """Where a book's chain ends."""

    sequence: int
    hash: str
    recorded_at: datetime | None


@dataclass(frozen=True, slots=True)
class _State:
    """What the database says after the lock: its clock, the heads, and the closed spans of days.

    A span without a start reaches back for ever.
    """

    clock: datetime
    heads: dict[int, _Head]
    closed: Sequence[tuple[date | None, date]]


def append(drafts: Sequence[EntryDraft]) -> list[Entry]:
    """Append entries to their books, in order, in four statements however many they are.

    The books must be locked by the caller in this transaction. Each entry gets the next sequence
    of its book, a `recorded_at` after the one before, its accounting date and its hash. The head
    is read from the database, so a book object that outlived a rolled-back savepoint is no
    danger; the objects of the drafts are brought up to date. Raises: InvariantBroken for accounts
    that the event never moves.
    """
    if not drafts:
        return []
    state, dates = _dated(drafts)
    entries = [
        _next_entry(draft, state=state, accounting_date=day)
        for draft, day in zip(drafts, dates, strict=True)
    ]
    bulk.insert_models(Entry, entries)
    bulk.insert_rows(
        Posting,
        [
            "id",
            "book_id",
            "entry_id",
            "position",
            "debit_id",
            "credit_id",
            "amount",
            "currency",
            "lot",
        ],
        [
            [new_id(), d.book.pk, d.id, n, x.debit, x.credit, x.amount, x.currency, x.lot]
            for d in drafts
            for n, x in enumerate(d.lines)
        ],
    )
    bulk.update_rows(
        Book,
        "id",
        ["sequence", "head_hash", "last_recorded_at"],
        [[pk, head.sequence, head.hash, head.recorded_at] for pk, head in state.heads.items()],
    )
    for draft in drafts:
        head, book = state.heads[draft.book.pk], draft.book
        book.sequence, book.head_hash = head.sequence, head.hash
        book.last_recorded_at = head.recorded_at
    return entries


def _dated(drafts: Sequence[EntryDraft]) -> tuple[_State, list[date]]:
    """Date the drafts, holding off the close of every month that they go into
    (docs/decisions.md#d21).
    """
    ids = {draft.book.pk for draft in drafts}
    days = [
        day_of(draft.occurred_at - MICROSECOND if draft.at_period_end else draft.occurred_at)
        for draft in drafts
    ]
    live = [day for draft, day in zip(drafts, days, strict=True) if draft.book.livemode]
    months = {_month(day) for day in live}
    while True:
        state = _read_state(ids, months=months, earliest=min(live, default=None))
        dates = [
            _open_day(day, state.closed) if draft.book.livemode else day
            for draft, day in zip(drafts, days, strict=True)
        ]
        moved_into = {
            _month(day) for draft, day in zip(drafts, dates, strict=True) if draft.book.livemode
        }
        if moved_into <= months:
            return state, dates
        months |= moved_into


def day_of(moment: datetime) -> date:
    """Return the day of a moment in the entity's zone, which decides the period
    (docs/decisions.md#d21).
    """
    return moment.astimezone(ZoneInfo(settings.ENTITY_TIMEZONE)).date()


def _month(day: date) -> date:
    return day.replace(day=1)


def _open_day(day: date, closed: Sequence[tuple[date | None, date]]) -> date:
    """Return the day, or the first open one after it; `closed` is in order."""
    for starts_on, ends_on in closed:
        if (starts_on is None or starts_on <= day) and day < ends_on:
            day = ends_on
    return day


# Each is a statement of its own after the lock, because a statement sees what was committed before
# it began: the clock is read after the lock, and a month that was closed while this waited for its
# lock is seen closed.
_STATE = """
    SELECT clock_timestamp(), id, sequence, head_hash, last_recorded_at
    FROM ledger_book WHERE id = ANY(%s)
"""
_CLOSED = """
    SELECT NULLIF(starts_on, (SELECT min(starts_on) FROM ledger_accountingperiod)), ends_on
    FROM ledger_accountingperiod WHERE status = 'CLOSED' AND ends_on > %s ORDER BY starts_on
"""


def _read_state(ids: Collection[int], *, months: Collection[date], earliest: date | None) -> _State:
    closed: list[tuple[date | None, date]] = []
    if earliest is not None:
        locks.share_months(months)
    with connection.cursor() as cursor:
        cursor.execute(_STATE, [list(ids)])
        rows = cursor.fetchall()
        if earliest is not None:
            cursor.execute(_CLOSED, [earliest])
            closed = cursor.fetchall()
    if len(rows) != len(ids):
        raise InvariantBroken("An entry was drafted for a book that does not exist.")
    heads = {pk: _Head(sequence, hashed, last) for _, pk, sequence, hashed, last in rows}
    return _State(clock=rows[0][0], heads=heads, closed=closed)


def _next_entry(draft: EntryDraft, *, state: _State, accounting_date: date) -> Entry:
    """Chain an entry onto its book's head, and move the head."""
    allowed_pairs.check(draft.event, draft.lines)
    head = state.heads[draft.book.pk]
    recorded_at = state.clock
    if head.recorded_at is not None:
        recorded_at = max(recorded_at, head.recorded_at + MICROSECOND)
    content = Content(
        livemode=draft.book.livemode,
        book=draft.book.key,
        id=draft.id,
        sequence=head.sequence + 1,
        event=str(draft.event),
        occurred_at=draft.occurred_at,
        recorded_at=recorded_at,
        accounting_date=accounting_date,
        document={**draft.document, "actor": draft.actor.describe()},
        lines=draft.lines,
        movements=draft.movements,
    )
    entry = Entry(
        id=draft.id,
        book=draft.book,
        sequence=content.sequence,
        event=content.event,
        occurred_at=content.occurred_at,
        recorded_at=recorded_at,
        accounting_date=accounting_date,
        document=content.document,
        prev_hash=head.hash,
        hash=hash_chain.entry_hash(content, head.hash),
    )
    head.sequence, head.hash, head.recorded_at = entry.sequence, entry.hash, recorded_at
    return entry
