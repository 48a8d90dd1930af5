"""Append entries: the only writer of the books, and the hottest path of the product."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings

from aforo import actors
from aforo.actors import Actor, Approval
from aforo.database import bulk
from aforo.database.bulk import Writes
from aforo.ids import new_id, new_id_text
from ledger.entries import chain_state, hash_chain
from ledger.entries.chain_state import ChainState
from ledger.entries.hash_chain import Content, MovementLine
from ledger.models import Book, Entry, Posting
from ledger.posting_rules import PostingLine, allowed_pairs

MICROSECOND = timedelta(microseconds=1)
_POSTED = [
    "id", "book_id", "entry_id", "position", "debit_id", "credit_id", "amount", "currency", "lot",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class EntryDraft:
    """An entry to be appended; `movements` are hashed here and stored by the wallets.

    `at_period_end` dates an event that happens exactly on a period's end into that period. Actor
    and approval are those that it is drafted under. Of the document, `reason` (a sentence) and
    `attributes` (an object) can be filtered by.

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
    approval: Approval | None = field(default_factory=actors.approval)

    @property
    def whole_document(self) -> dict[str, object]:
        """Return the document with who did it, and who approved it where that was needed."""
        approved = {} if self.approval is None else self.approval.describe()
        return {**self.document, **approved, "actor": self.actor.describe()}


def append(drafts: Sequence[EntryDraft]) -> list[Entry]:
    """Append entries to their books, in order, in two statements however many they are.

    The books must be locked by the caller in this transaction. Each entry gets the next sequence
    of its book, a `recorded_at` after the one before, its accounting date and its hash. The head
    is read from the database, so a book object that outlived a rolled-back savepoint is no
    danger; the objects of the drafts are brought up to date. Raises: InvariantBroken for accounts
    that the event never moves.
    """
    writes = Writes()
    entries = append_to(writes, drafts)
    writes.execute()
    return entries


def append_to(
    writes: Writes, drafts: Sequence[EntryDraft], *, state: ChainState | None = None
) -> list[Entry]:
    """Append entries as `append` does, among other rows that one statement is to write.

    `state` is what the caller has read after it locked the books, and before anything else was
    appended to them.
    """
    if not drafts:
        return []
    state, dates = _dated(drafts, state)
    entries = [
        _next_entry(draft, state=state, accounting_date=day)
        for draft, day in zip(drafts, dates, strict=True)
    ]
    writes.insert_models(Entry, entries)
    writes.insert_rows(
        Posting,
        _POSTED,
        [
            [new_id_text(), d.book.pk, d.id, n, x.debit, x.credit, x.amount, x.currency, x.lot]
            for d in drafts
            for n, x in enumerate(d.lines)
        ],
    )
    heads = {draft.book.pk: state.heads[draft.book.pk] for draft in drafts}
    writes.update_rows(
        Book,
        "id",
        ["sequence", "head_hash", "last_recorded_at"],
        [[pk, head.sequence, head.hash, head.recorded_at] for pk, head in heads.items()],
    )
    for draft in drafts:
        head, book = heads[draft.book.pk], draft.book
        book.sequence, book.head_hash = head.sequence, head.hash
        book.last_recorded_at = head.recorded_at
    return entries


def _dated(drafts: Sequence[EntryDraft], state: ChainState | None) -> tuple[ChainState, list[date]]:
    """Date the drafts, holding off the close of every month that they go into
    (docs/decisions.md#d21).
    """
    ids = {draft.book.pk for draft in drafts}
    days = [
        day_of(draft.occurred_at - MICROSECOND if draft.at_period_end else draft.occurred_at)
        for draft in drafts
    ]
    live = [day for draft, day in zip(drafts, days, strict=True) if draft.book.livemode]
    months = {month_of(day) for day in live}
    while True:
        if state is None or not months <= state.months:
            state = chain_state.read(ids, months=months)
        dates = [
            _open_day(day, state.closed) if draft.book.livemode else day
            for draft, day in zip(drafts, days, strict=True)
        ]
        moved_into = {
            month_of(day) for draft, day in zip(drafts, dates, strict=True) if draft.book.livemode
        }
        if moved_into <= months:
            return state, dates
        months |= moved_into


def day_of(moment: datetime) -> date:
    """Return the day of a moment in the entity's zone, which decides the period
    (docs/decisions.md#d21).
    """
    return moment.astimezone(ZoneInfo(settings.ENTITY_TIMEZONE)).date()


def month_of(day: date) -> date:
    """Return the first day of a day's month."""
    return day.replace(day=1)


def _open_day(day: date, closed: Sequence[tuple[date | None, date]]) -> date:
    """Return the day, or the first open one after it; `closed` is in order."""
    for starts_on, ends_on in closed:
        if (starts_on is None or starts_on <= day) and day < ends_on:
            day = ends_on
    return day


def _next_entry(draft: EntryDraft, *, state: ChainState, accounting_date: date) -> Entry:
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
        document=draft.whole_document,
        lines=draft.lines,
        movements=draft.movements,
    )
    entry = bulk.build(
        Entry,
        id=draft.id,
        book_id=draft.book.pk,
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
