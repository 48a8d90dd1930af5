"""The arithmetic of seals: a Merkle root over the heads of all books, and a seal's hash. Pure.

The root of a tree whose leaves are hashes of "book, sequence, hash"; a level's last node without a
partner moves up as it is. Leaves and nodes are hashed under different prefixes, so that neither
passes for the other (RFC 6962). Memory grows with the logarithm of the leaves.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

EMPTY = hashlib.sha256(b"").digest()


@dataclass(frozen=True, slots=True)
class Head:
    """Where a book's chain ended."""

    book: str
    sequence: int
    hash: str


@dataclass(frozen=True, slots=True)
class Folded:
    """What a seal says of the heads: their root, and how many books and entries they stand for."""

    root: str
    books: int
    entries: int


def fold(heads: Iterable[Head]) -> Folded:
    """Fold the heads, in their order, into a root, reading each once."""
    peaks: list[tuple[int, bytes]] = []
    books = entries = 0
    for head in heads:
        books, entries = books + 1, entries + head.sequence
        height, node = 0, _leaf(head)
        while peaks and peaks[-1][0] == height:
            height, node = height + 1, _node(peaks.pop()[1], node)
        peaks.append((height, node))
    root = peaks.pop()[1] if peaks else EMPTY
    while peaks:
        root = _node(peaks.pop()[1], root)
    return Folded(root.hex(), books, entries)


def _leaf(head: Head) -> bytes:
    text = json.dumps([head.book, head.sequence, head.hash], ensure_ascii=False)
    return hashlib.sha256(b"\x00" + text.encode()).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def seal_text(
    *,
    livemode: bool,
    number: int,
    sealed_at: datetime,
    folded: Folded,
    prev_hash: str,
    lost: Sequence[Mapping[str, object]] = (),
    reason: str = "",
) -> str:
    """Write a seal in its one form: what is hashed, and kept outside the database.

    What was lost before it, and why it goes on all the same, stand in it only where there is any.
    """
    content: dict[str, object] = {
        "mode": "live" if livemode else "sandbox",
        "number": number,
        "sealed_at": sealed_at.astimezone(UTC).isoformat(timespec="microseconds"),
        "books": folded.books,
        "entries": folded.entries,
        "root": folded.root,
        "prev_hash": prev_hash,
    }
    if lost:
        content |= {"lost": [dict(seal) for seal in lost], "reason": reason}
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def seal_hash(text: str) -> str:
    """Hash a seal; the first one follows ""."""
    return hashlib.sha256(text.encode()).hexdigest()
