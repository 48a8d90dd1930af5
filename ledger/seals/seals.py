"""Seal the books once a day: fold the heads of all books, chain the seal, keep a copy outside.

A seal is committed first and its copy written then, so that a process that is killed at any point
leaves a seal whose copy the next one writes. No seal follows one that has no copy yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.db import connection, transaction

from aforo.errors import Conflict, FieldError, Invalid
from ledger import locks
from ledger.entries.entries import day_of
from ledger.models import Book, Seal, SealCopy, SealedHead
from ledger.seals import merkle, seal_copies
from ledger.seals.merkle import Folded, Head

CHUNK = 2_000


class SealMissing(Conflict):
    """The database lacks a seal of which there is a copy: it was restored to before it, or the seal
    was removed.

    After a restore, go on by `manage.py seal --after-restore`; otherwise find out who removed it.
    """

    default_code = "seal_missing"


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


def seal_if_due(*, livemode: bool, now: datetime) -> Seal | None:
    """Seal the books of a mode unless that was done today; None if there is nothing to seal.

    A copy that is missing because a process was killed is written in any case.
    """
    last = _last(livemode)
    if last is None and not Book.objects.filter(livemode=livemode, sequence__gt=0).exists():
        return None
    if last is not None and not _is_due(last, now) and _has_copy(last):
        return None
    return _seal(livemode=livemode, now=now, daily=True)


def seal(*, livemode: bool, now: datetime) -> Seal:
    """Seal the books of a mode now, as the close of a month does.

    Raises: SealMissing when the copies outside know seals that the database has not: it was
    restored to before them, or they were removed.
    """
    made = _seal(livemode=livemode, now=now, daily=False)
    assert made is not None, "only a daily seal may not be due"
    return made


def seal_after_restore(*, livemode: bool, now: datetime, reason: str) -> Seal:
    """Seal again a database that was restored to before its last seals.

    The seal takes the number after the last copy, and names each seal that was lost with the hash
    of its copy, and the reason, inside its own hash: nobody can go on in silence. What the lost
    seals covered and the restored database lacks stays unproved.

    Raises: Invalid (`required`) without a reason; Conflict (`no_seal_lost`).
    """
    if not reason.strip():
        raise Invalid([FieldError("/reason", "required", "Say why seals were lost.")])
    made = _seal(livemode=livemode, now=now, daily=False, reason=reason.strip())
    assert made is not None, "only a daily seal may not be due"
    return made


def _seal(*, livemode: bool, now: datetime, daily: bool, reason: str = "") -> Seal | None:
    """Create a seal, commit it, and write its copy; one process of a mode at a time."""
    with transaction.atomic(durable=True):
        locks.lock_seals(livemode=livemode)
        last = _last(livemode)
        if last is not None:
            _keep(last, now)
        if daily and last is not None and not _is_due(last, now):
            return None
        made = _make(last, livemode=livemode, now=now, reason=reason)
        made.daily_on = day_of(now) if daily else None
        made.save(force_insert=True)
    with transaction.atomic(durable=True):
        locks.lock_seals(livemode=livemode)
        _keep(made, now)
    return made


def _last(livemode: bool) -> Seal | None:  # noqa: FBT001
    return Seal.objects.filter(livemode=livemode).order_by("-number").first()


def _is_due(last: Seal, now: datetime) -> bool:
    return day_of(last.sealed_at) < day_of(now)


def _has_copy(made: Seal) -> bool:
    return SealCopy.objects.filter(livemode=made.livemode, number=made.number).exists()


def _keep(made: Seal, now: datetime) -> None:
    """Write the copy of a committed seal, unless that was done. The seals must be locked."""
    if not _has_copy(made):
        seal_copies.write_copy(livemode=made.livemode, number=made.number, text=text_of(made))
        SealCopy.objects.create(livemode=made.livemode, number=made.number, kept_at=now)


def _make(last: Seal | None, *, livemode: bool, now: datetime, reason: str) -> Seal:
    """Fold the heads of all books into the seal that follows the last one; the row is not saved."""
    lost = _lost(livemode, 0 if last is None else last.number)
    _check_lost(livemode, lost, reason)
    number = lost[-1] if lost else (0 if last is None else last.number)
    made = Seal(
        livemode=livemode,
        number=number + 1,
        sealed_at=now,
        books=0,
        entries=0,
        root="",
        prev_hash="" if last is None else last.hash,
        lost=[{"number": n, "hash": _hash_of_copy(livemode, n)} for n in lost],
        reason=reason,
    )
    # The seal is hashed over the heads, which refer to it: its id comes first, and the foreign key
    # is looked at when the transaction ends.
    made.pk = _next_id()
    with connection.cursor() as cursor:
        cursor.execute(_MOVED, [made.pk, livemode])
    folded = merkle.fold(heads(livemode))
    made.books, made.entries, made.root = folded.books, folded.entries, folded.root
    made.hash = merkle.seal_hash(text_of(made))
    return made


def _lost(livemode: bool, number: int) -> list[int]:  # noqa: FBT001
    return seal_copies.numbers_after(livemode=livemode, number=number)


def _check_lost(livemode: bool, lost: list[int], reason: str) -> None:  # noqa: FBT001
    if lost and not reason:
        path = seal_copies.path_of(livemode=livemode, number=lost[0])
        raise SealMissing(
            f"Seal {lost[0]} is kept in {path}, but the database has not got it: it was restored "
            "to before it, or the seal was removed. `manage.py seal --after-restore` goes on."
        )
    if reason and not lost:
        raise Conflict("The database has every seal of which there is a copy.", code="no_seal_lost")


def _hash_of_copy(livemode: bool, number: int) -> str:  # noqa: FBT001
    text = seal_copies.read_copy(livemode=livemode, number=number)
    assert text is not None, "it was listed a moment ago"
    return merkle.seal_hash(text)


def _next_id() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence('ledger_seal', 'id'))")
        return int(cursor.fetchone()[0])


def heads(livemode: bool) -> Iterator[Head]:  # noqa: FBT001
    """Read the sealed heads of a mode, in order, in bounded memory."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(_HEADS, [livemode])
        while rows := cursor.fetchmany(CHUNK):
            yield from (Head(*row) for row in rows)


def text_of(made: Seal) -> str:
    """Write a seal as it is hashed and kept."""
    return merkle.seal_text(
        livemode=made.livemode,
        number=made.number,
        sealed_at=made.sealed_at,
        folded=Folded(made.root, made.books, made.entries),
        prev_hash=made.prev_hash,
        lost=made.lost,
        reason=made.reason,
    )


def sealed_heads(book: Book) -> Iterator[tuple[int, str, str]]:
    """Read what the seals say of a book: sequence, hash and which seal."""
    found = SealedHead.objects.filter(book=book).order_by("sequence").select_related("seal")
    for head in found.iterator():
        yield head.sequence, head.hash, f"seal {head.seal.number} of {head.seal.sealed_at:%Y-%m-%d}"
