"""Prove a book's chain, and name the first row that does not hold."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ledger import chain
from ledger.chain import Content, MovementLine
from ledger.models import Account, Book, Entry, Posting
from ledger.recipes import Line

CHUNK = 2_000

MovementsOf = Callable[[Sequence[UUID]], Mapping[UUID, Sequence[MovementLine]]]


@dataclass(frozen=True, slots=True)
class BadEntry:
    """The first row that does not hold."""

    entry: str
    reason: str


@dataclass(frozen=True, slots=True)
class ChainReport:
    """How many entries were proved, and the first that does not hold."""

    entries: int
    first_bad: BadEntry | None


@dataclass(frozen=True, slots=True)
class _Link:
    """The entry before: what the next one has to follow."""

    sequence: int = 0
    hash: str = ""
    recorded_at: datetime | None = None


def verify_chain(*, book: Book, movements: MovementsOf) -> ChainReport:
    """Prove a book's chain from its first entry to its head, in chunks.

    `movements` gives the movements of entries, which the wallets keep. Read it inside one
    REPEATABLE READ snapshot. Finds what was edited, inserted, deleted, reordered or cut off, and
    accounts outside the chart, to which no constraint holds the postings (DECISIONS 7).
    """
    chart = frozenset(Account.objects.values_list("code", flat=True))
    last = _Link()
    for entry, lines, moved in _with_parts(book, movements):
        content = _content(book, entry, lines, moved)
        fault = _fault(book, last, entry, content) or _account_fault(chart, lines)
        if fault is not None:
            return ChainReport(last.sequence, BadEntry(f"{book.key}#{entry.sequence}", fault))
        last = _Link(entry.sequence, entry.hash, entry.recorded_at)
    return ChainReport(last.sequence, _head_fault(book, last))


def _fault(book: Book, last: _Link, entry: Entry, content: Content) -> str | None:
    """Say what is wrong with an entry that should follow `last`."""
    if entry.sequence != last.sequence + 1:
        return f"sequence {last.sequence + 1} is missing"
    if entry.sequence > book.sequence:
        return f"it was inserted: the book ends at {book.sequence}"
    if entry.prev_hash != last.hash:
        return "it does not follow the entry before it: rows were reordered, inserted or removed"
    if entry.hash != chain.entry_hash(content, entry.prev_hash):
        return "its content was changed: it does not match its hash"
    if last.recorded_at is not None and entry.recorded_at <= last.recorded_at:
        return "it was recorded before the entry before it"
    return None


def _account_fault(chart: Collection[str], lines: Sequence[Line]) -> str | None:
    """Name an account that was posted to and is not in the chart."""
    for line in lines:
        for code in (line.debit, line.credit):
            if code not in chart:
                return f"account {code} is not in the chart"
    return None


def _head_fault(book: Book, last: _Link) -> BadEntry | None:
    """Hold the last entry against the head that the book keeps."""
    if last.sequence < book.sequence:
        missing = f"{book.key}#{last.sequence + 1}"
        reason = f"the tail was cut off: entries {last.sequence + 1} to {book.sequence} are missing"
        return BadEntry(missing, reason)
    if (last.hash, last.recorded_at) != (book.head_hash, book.last_recorded_at):
        return BadEntry(f"{book.key}#{last.sequence}", "the book's head is not its last entry")
    return None


def _content(
    book: Book, entry: Entry, lines: Sequence[Line], movements: Sequence[MovementLine]
) -> Content:
    return Content(
        livemode=book.livemode,
        book=book.key,
        id=entry.id,
        sequence=entry.sequence,
        event=entry.event,
        occurred_at=entry.occurred_at,
        recorded_at=entry.recorded_at,
        accounting_date=entry.accounting_date,
        document=entry.document,
        lines=lines,
        movements=movements,
    )


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
