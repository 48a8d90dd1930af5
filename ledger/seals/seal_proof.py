"""Prove the seals against the heads that they were made of, and the copies kept outside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.db import connection, transaction

from ledger.entries.chain_verification import BadEntry
from ledger.models import Seal, SealCopy
from ledger.seals import merkle, seal_copies
from ledger.seals.merkle import Folded
from ledger.seals.seals import CHUNK, heads, text_of

_OTHER_HEADS = "the heads that it was made of were changed, removed or added to"
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


@dataclass(frozen=True, slots=True)
class SealReport:
    """How many seals were proved, the first that does not hold, and what has to be known of them:
    the seals that a restore has lost.
    """

    seals: int
    first_bad: BadEntry | None
    notes: tuple[str, ...] = ()


@transaction.atomic
def verify_seals(*, livemode: bool) -> SealReport:
    """Prove the seals of a mode: their chain, their copies outside, how many heads and entries each
    had, and the hashes of the heads under the last.

    The last seal covers the latest head of every book, and a head all of its book's history; that
    each sealed head still is that book's history, `verify_chain` proves. Seals that a restore has
    lost are accepted where a later one names them and their copies are there; they are noted.
    """
    proved, last, notes = 0, None, list[str]()
    counted = _counted(livemode)
    for made in Seal.objects.filter(livemode=livemode).order_by("number").iterator():
        fault = _fault(made, last)
        if fault is None and next(counted) != (made.books, made.entries):
            fault = _bad(livemode, made.number, _OTHER_HEADS)
        if fault is not None:
            return SealReport(proved, fault, tuple(notes))
        notes += _notes(made)
        proved, last = proved + 1, made
    if (removed := _removed(livemode, last)) is not None:
        return SealReport(proved, removed, tuple(notes))
    if last is not None:
        folded = merkle.fold(heads(livemode))
        if folded != Folded(last.root, last.books, last.entries):
            bad = _bad(livemode, last.number, _OTHER_HEADS)
            return SealReport(proved, bad, tuple(notes))
    return SealReport(proved, None, tuple(notes))


def _removed(livemode: bool, last: Seal | None) -> BadEntry | None:  # noqa: FBT001
    """Return the first copy whose seal is gone; one that was made meanwhile is there."""
    number = 0 if last is None else last.number
    for later in seal_copies.numbers_after(livemode=livemode, number=number):
        if not Seal.objects.filter(livemode=livemode, number=later).exists():
            return _bad(livemode, later, "it was removed: its copy is here")
    return None


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


def _fault(made: Seal, last: Seal | None) -> BadEntry | None:
    """Find what is wrong with the seal that follows the last one."""
    expected = 1 if last is None else last.number + 1
    named = [lost["number"] for lost in made.lost]
    if named != list(range(expected, made.number)):
        return _bad(made.livemode, expected, "it is missing from the database")
    return _fault_of_lost(made) or _fault_of_itself(made, "" if last is None else last.hash)


def _fault_of_lost(made: Seal) -> BadEntry | None:
    """Compare the seals that it says were lost with their copies."""
    for lost in made.lost:
        text = seal_copies.read_copy(livemode=made.livemode, number=lost["number"])
        if text is None or merkle.seal_hash(text) != lost["hash"]:
            reason = f"lost by a restore, its copy is gone or is not what seal {made.number} says"
            return _bad(made.livemode, lost["number"], reason)
    return None


def _fault_of_itself(made: Seal, prev_hash: str) -> BadEntry | None:
    text = text_of(made)
    path = seal_copies.path_of(livemode=made.livemode, number=made.number)
    kept = seal_copies.read_copy(livemode=made.livemode, number=made.number)
    reason = ""
    if made.prev_hash != prev_hash:
        reason = "it does not follow the seal before it"
    elif made.hash != merkle.seal_hash(text):
        reason = "its content was changed: it does not match its hash"
    elif kept is None and not _waits_for_copy(made):
        reason = f"its copy is missing: {path}"
    elif kept is not None and kept != text:
        reason = f"it differs from its copy: {path}"
    return _bad(made.livemode, made.number, reason) if reason else None


def _waits_for_copy(made: Seal) -> bool:
    """Return whether a seal is the last one and its copy was never written: it was made a moment
    ago, or a process was killed, and the next sweep writes it.
    """
    mine = Seal.objects.filter(livemode=made.livemode, number__gt=made.number)
    kept = SealCopy.objects.filter(livemode=made.livemode, number=made.number)
    return not mine.exists() and not kept.exists()


def _notes(made: Seal) -> list[str]:
    if not made.lost:
        return []
    mode = "live" if made.livemode else "sandbox"
    first, last = made.lost[0]["number"], made.lost[-1]["number"]
    note = (
        f"{mode} seals {first} to {last} were lost by a restore, as seal {made.number} of "
        f"{made.sealed_at:%Y-%m-%d} says ({made.reason}): what only they covered is not proved"
    )
    return [note]
