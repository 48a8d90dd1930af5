"""Seal the books once a day, and prove the seals against the copies kept outside the database.

The directory of the copies (SEALS_DIR) belongs where who can write the database cannot: the proof
is as good as that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db import connection, transaction

from aforo.errors import Conflict
from ledger import locks, merkle
from ledger.merkle import Folded, Head
from ledger.models import Book, Seal, SealedHead
from ledger.services.appending import day_of
from ledger.services.proving import BadEntry

CHUNK = 2_000
_OTHER_HEADS = "the heads that it was made of were changed, removed or added to"


class SealMissing(Conflict):
    default_code = "seal_missing"


@dataclass(frozen=True, slots=True)
class SealReport:
    """How many seals were proved, and the first that does not hold."""

    seals: int
    first_bad: BadEntry | None


# A book stands in the seals at which its chain had moved on since the last one.
_MOVED = """
    INSERT INTO ledger_sealedhead (seal_id, book_id, sequence, hash)
    SELECT %s, b.id, b.sequence, b.head_hash FROM ledger_book b
    WHERE b.livemode = %s AND b.sequence > coalesce(
        (SELECT max(h.sequence) FROM ledger_sealedhead h WHERE h.book_id = b.id), 0)
"""
_HEADS = """
    SELECT b.key, h.sequence, h.hash FROM ledger_book b CROSS JOIN LATERAL (
        SELECT sequence, hash FROM ledger_sealedhead
        WHERE book_id = b.id ORDER BY sequence DESC LIMIT 1
    ) h WHERE b.livemode = %s ORDER BY b.id
"""
# What each seal counted, again from the heads that were written with it.
_COUNTED = """
    SELECT seal.number, coalesce(sum(moved.books), 0), coalesce(sum(moved.entries), 0)
    FROM ledger_seal seal LEFT JOIN (
        SELECT seal_id, (before IS NULL)::int AS books, sequence - coalesce(before, 0) AS entries
        FROM (SELECT seal_id, sequence, lag(sequence) OVER (
            PARTITION BY book_id ORDER BY sequence) AS before FROM ledger_sealedhead) head
    ) moved ON moved.seal_id = seal.id
    WHERE seal.livemode = %s GROUP BY seal.id ORDER BY seal.number
"""


def seal_if_due(*, livemode: bool, now: datetime) -> Seal | None:
    """Seal the books of a mode unless that was done today; nothing to seal gives none."""
    last = Seal.objects.filter(livemode=livemode).order_by("-number").first()
    if last is not None and day_of(last.sealed_at) >= day_of(now):
        return None
    if last is None and not Book.objects.filter(livemode=livemode, sequence__gt=0).exists():
        return None
    return seal(livemode=livemode, now=now)


@transaction.atomic
def seal(*, livemode: bool, now: datetime) -> Seal:
    """Fold the heads of all books into a seal, chain it to the last one, and keep a copy outside.

    One seal of a mode is made at a time. The copy is written before the commit: a seal without
    one cannot be. Raises: SealMissing when a copy of this number exists, because then the
    database has lost a seal.
    """
    locks.lock_seals(livemode=livemode)
    last = Seal.objects.filter(livemode=livemode).order_by("-number").first()
    made = Seal(
        livemode=livemode,
        number=1 if last is None else last.number + 1,
        sealed_at=now,
        books=0,
        entries=0,
        root="",
        prev_hash="" if last is None else last.hash,
    )
    # The seal is hashed over the heads, which refer to it: its id comes first, and the foreign key
    # is looked at when the transaction ends.
    made.pk = _next_id()
    with connection.cursor() as cursor:
        cursor.execute(_MOVED, [made.pk, livemode])
    folded = merkle.fold(_heads(livemode))
    made.books, made.entries, made.root = folded.books, folded.entries, folded.root
    text = _text(made)
    made.hash = merkle.seal_hash(text)
    made.save(force_insert=True)
    _keep(made, text)
    return made


def _next_id() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence('ledger_seal', 'id'))")
        return int(cursor.fetchone()[0])


def _heads(livemode: bool) -> Iterator[Head]:  # noqa: FBT001
    """Read the sealed heads of a mode, in order, in bounded memory."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(_HEADS, [livemode])
        while rows := cursor.fetchmany(CHUNK):
            yield from (Head(*row) for row in rows)


def _text(made: Seal) -> str:
    return merkle.seal_text(
        livemode=made.livemode,
        number=made.number,
        sealed_at=made.sealed_at,
        folded=Folded(made.root, made.books, made.entries),
        prev_hash=made.prev_hash,
    )


def _copy_of(*, livemode: bool, number: int) -> Path:
    return Path(settings.SEALS_DIR) / f"{'live' if livemode else 'sandbox'}-{number:06d}.json"


def _keep(made: Seal, text: str) -> None:
    """Write the copy, never over another one."""
    path = _copy_of(livemode=made.livemode, number=made.number)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise SealMissing(
            f"Seal {made.number} is kept in {path}, but the database has lost it."
        ) from error
    path.chmod(0o444)


@transaction.atomic
def verify_seals(*, livemode: bool) -> SealReport:
    """Prove the seals of a mode: their chain, their copies outside, how many heads and entries each
    had, and the hashes of the heads under the last.

    The last seal covers the latest head of every book, and a head all of its book's history; that
    each sealed head still is that book's history, `verify_chain` proves.
    """
    proved, prev_hash = 0, ""
    counted = _counted(livemode)
    for made in Seal.objects.filter(livemode=livemode).order_by("number").iterator():
        fault = _fault(made, number=proved + 1, prev_hash=prev_hash)
        if fault is None and next(counted) != (made.books, made.entries):
            fault = _bad(livemode, made.number, _OTHER_HEADS)
        if fault is not None:
            return SealReport(proved, fault)
        proved, prev_hash = proved + 1, made.hash
    if _copy_of(livemode=livemode, number=proved + 1).exists():
        return SealReport(proved, _bad(livemode, proved + 1, "it was removed: its copy is here"))
    if proved == 0:
        return SealReport(0, None)
    last = Seal.objects.get(livemode=livemode, number=proved)
    folded = merkle.fold(_heads(livemode))
    if folded != Folded(last.root, last.books, last.entries):
        return SealReport(proved, _bad(livemode, proved, _OTHER_HEADS))
    return SealReport(proved, None)


def _counted(livemode: bool) -> Iterator[tuple[int, int]]:  # noqa: FBT001
    """Count the books and entries under each seal of a mode, in order, from the heads."""
    books = entries = 0
    with connection.chunked_cursor() as cursor:
        cursor.execute(_COUNTED, [livemode])
        while rows := cursor.fetchmany(CHUNK):
            for _, more_books, more_entries in rows:
                books, entries = books + more_books, entries + more_entries
                yield books, entries


def _bad(livemode: bool, number: int, reason: str) -> BadEntry:  # noqa: FBT001
    return BadEntry(f"{'live' if livemode else 'sandbox'} seal {number}", reason)


def _fault(made: Seal, *, number: int, prev_hash: str) -> BadEntry | None:
    """Say what is wrong with the seal that should have this number and follow that hash."""
    if made.number != number:
        return _bad(made.livemode, number, "it is missing from the database")
    text = _text(made)
    if made.prev_hash != prev_hash:
        return _bad(made.livemode, number, "it does not follow the seal before it")
    if made.hash != merkle.seal_hash(text):
        return _bad(made.livemode, number, "its content was changed: it does not match its hash")
    path = _copy_of(livemode=made.livemode, number=number)
    if not path.exists():
        return _bad(made.livemode, number, f"its copy is missing: {path}")
    if path.read_text(encoding="utf-8") != text:
        return _bad(made.livemode, number, f"it differs from its copy: {path}")
    return None


def sealed_heads(book: Book) -> Iterator[tuple[int, str, str]]:
    """Give what the seals say of a book: sequence, hash and which seal."""
    heads = SealedHead.objects.filter(book=book).order_by("sequence").select_related("seal")
    for head in heads.iterator():
        yield head.sequence, head.hash, f"seal {head.seal.number} of {head.seal.sealed_at:%Y-%m-%d}"
