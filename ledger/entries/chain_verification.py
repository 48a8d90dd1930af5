"""Prove a book's chain, and name the first row that does not hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from ledger.entries import hash_chain
from ledger.entries.hash_chain import Content, MovementLine
from ledger.models import Account, Book, Entry, Posting
from ledger.posting_rules import PostingLine

CHUNK = 2_000

# What a seal says of a book: sequence, hash and the name of the seal.
Sealed = tuple[int, str, str]
# The movements of a book's entries by sequence, after the first number and up to the second.
MovementsOf = Callable[[int, int, int], Mapping[int, Sequence[MovementLine]]]

# A posting with the book that it says it is in.
_InBook = tuple[int, PostingLine]


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


class Stored(NamedTuple):
    """An entry as it is stored; a row of the database without the weight of a model."""

    id: UUID
    sequence: int
    event: str
    occurred_at: datetime
    recorded_at: datetime
    accounting_date: date
    document: dict[str, object]
    prev_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class _Link:
    """The entry before: what the next one has to follow."""

    sequence: int = 0
    hash: str = ""
    recorded_at: datetime | None = None


def verify_chain(
    *,
    book: Book,
    movements: MovementsOf,
    sealed: Iterable[Sealed] = (),
    progress: Callable[[int], None] = lambda entries: None,
) -> ChainReport:
    """Prove a book's chain from its first entry to its head, in chunks.

    `movements` reads the movements of entries, which the wallets keep; `sealed` what the seals say
    of the book, in order; `progress` is told how many entries more were proved. Read it inside one
    REPEATABLE READ snapshot. Finds what was edited, inserted, deleted, reordered or cut off, and
    accounts outside the chart, to which no constraint holds the postings (docs/decisions.md#d7); by
    the seals also what was rewritten with all its hashes.
    """
    chart = frozenset(Account.objects.values_list("code", flat=True))
    seals = _Seals(book.key, sealed)
    last = _Link()
    for stored, postings, moved in _with_parts(book, movements, progress):
        lines = [line for _, line in postings]
        fault = (
            _fault(book, last, stored, lines, moved)
            or _book_fault(book, postings)
            or _account_fault(chart, lines)
        )
        if fault is not None:
            return ChainReport(last.sequence, BadEntry(f"{book.key}#{stored.sequence}", fault))
        last = _Link(stored.sequence, stored.hash, stored.recorded_at)
        rewritten = seals.fault(last)
        if rewritten is not None:
            return ChainReport(last.sequence, rewritten)
    return ChainReport(last.sequence, _head_fault(book, last) or seals.rest(last))


class _Seals:
    """Compares what the seals say of a book with its entries as they pass."""

    def __init__(self, book: str, sealed: Iterable[Sealed]) -> None:
        self.book, self.sealed = book, iter(sealed)
        self.next = next(self.sealed, None)
        self.proved = 0

    def fault(self, link: _Link) -> BadEntry | None:
        """Return what was rewritten between two seals, when the later one is passed."""
        if self.next is None or self.next[0] != link.sequence:
            return None
        sequence, hashed, name = self.next
        if hashed != link.hash:
            first = f"{self.book}#{self.proved + 1}"
            reason = f"entries {self.proved + 1} to {sequence} were rewritten: {name} differs"
            return BadEntry(first, reason)
        self.proved, self.next = sequence, next(self.sealed, None)
        return None

    def rest(self, last: _Link) -> BadEntry | None:
        """Return what was cut off together with the head, but had been sealed."""
        if self.next is None:
            return None
        reason = f"the tail was cut off: {self.next[2]} has entry {self.next[0]}"
        return BadEntry(f"{self.book}#{last.sequence + 1}", reason)


def _fault(
    book: Book,
    last: _Link,
    stored: Stored,
    lines: Sequence[PostingLine],
    movements: Sequence[MovementLine],
) -> str | None:
    """Return what is wrong with an entry that should follow `last`."""
    if stored.sequence != last.sequence + 1:
        return f"sequence {last.sequence + 1} is missing"
    if stored.sequence > book.sequence:
        return f"it was inserted: the book ends at {book.sequence}"
    if stored.prev_hash != last.hash:
        return "it does not follow the entry before it: rows were reordered, inserted or removed"
    content = _content(book, stored, lines, movements)
    if stored.hash != hash_chain.entry_hash(content, stored.prev_hash):
        return "its content was changed: it does not match its hash"
    if last.recorded_at is not None and stored.recorded_at <= last.recorded_at:
        return "it was recorded before the entry before it"
    return None


def _book_fault(book: Book, postings: Sequence[_InBook]) -> str | None:
    """Return a posting that is in another book than its entry."""
    for position, (book_id, _) in enumerate(postings):
        if book_id != book.pk:
            return f"posting {position} is in another book"
    return None


def _account_fault(chart: Collection[str], lines: Sequence[PostingLine]) -> str | None:
    """Return an account that was posted to and is not in the chart."""
    for line in lines:
        for code in (line.debit, line.credit):
            if code not in chart:
                return f"account {code} is not in the chart"
    return None


def _head_fault(book: Book, last: _Link) -> BadEntry | None:
    """Compare the last entry with the head that the book keeps."""
    if last.sequence < book.sequence:
        missing = f"{book.key}#{last.sequence + 1}"
        reason = f"the tail was cut off: entries {last.sequence + 1} to {book.sequence} are missing"
        return BadEntry(missing, reason)
    if (last.hash, last.recorded_at) != (book.head_hash, book.last_recorded_at):
        return BadEntry(f"{book.key}#{last.sequence}", "the book's head is not its last entry")
    return None


def _content(
    book: Book, stored: Stored, lines: Sequence[PostingLine], movements: Sequence[MovementLine]
) -> Content:
    return Content(
        livemode=book.livemode,
        book=book.key,
        id=stored.id,
        sequence=stored.sequence,
        event=stored.event,
        occurred_at=stored.occurred_at,
        recorded_at=stored.recorded_at,
        accounting_date=stored.accounting_date,
        document=stored.document,
        lines=lines,
        movements=movements,
    )


def _with_parts(
    book: Book, movements: MovementsOf, progress: Callable[[int], None]
) -> Iterator[tuple[Stored, Sequence[_InBook], Sequence[MovementLine]]]:
    """Read a book's entries in sequence with their postings and movements, in bounded memory."""
    last = 0
    entries = Entry.objects.filter(book=book).order_by("sequence").values_list(*Stored._fields)
    while page := [Stored(*row) for row in entries.filter(sequence__gt=last)[:CHUNK]]:
        until = page[-1].sequence
        lines = _lines(book, last, until)
        moved = movements(book.pk, last, until)
        for stored in page:
            yield stored, lines.get(stored.sequence, ()), moved.get(stored.sequence, ())
        last = until
        progress(len(page))


def _lines(book: Book, after: int, until: int) -> dict[int, list[_InBook]]:
    """Read the postings of a book's entries by their sequence."""
    lines: dict[int, list[_InBook]] = defaultdict(list)
    postings = Posting.objects.filter(
        entry__book=book, entry__sequence__gt=after, entry__sequence__lte=until
    ).order_by("entry__sequence", "position")
    for sequence, book_id, debit, credit, amount, currency, lot in postings.values_list(
        "entry__sequence", "book_id", "debit_id", "credit_id", "amount", "currency", "lot"
    ):
        lines[sequence].append((book_id, PostingLine(debit, credit, amount, currency, lot)))
    return lines
