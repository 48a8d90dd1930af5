"""The hash chain of a book: SHA-256 over the canonical text of each entry and the hash before it.

The text is rebuilt from columns (mode, book, id, sequence, event, both times, accounting date,
document, ordered postings and movements), so any edit of any of them breaks the chain. What the
database would store otherwise than it was hashed is refused. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from aforo import money
from aforo.errors import InvariantBroken
from ledger.posting_rules import PostingLine

# Compact JSON in UTF-8 with sorted names; any JSON library writes the same.
_ENCODER = msgspec.json.Encoder(order="sorted")


@dataclass(frozen=True, slots=True)
class MovementLine:
    """A movement of a credit lot, as the chain sees it."""

    lot: UUID
    kind: str
    quantity: Decimal
    carrying: Decimal
    balance_after: Decimal
    held_after: Decimal


@dataclass(frozen=True, slots=True)
class Content:
    """Everything of an entry that is hashed."""

    livemode: bool
    book: str
    id: UUID
    sequence: int
    event: str
    occurred_at: datetime
    recorded_at: datetime
    accounting_date: date
    document: Mapping[str, object]
    lines: Sequence[PostingLine]
    movements: Sequence[MovementLine]


def _moment(value: datetime) -> str:
    """Write a moment in UTC with all six decimals of the second, always."""
    return value.astimezone(UTC).isoformat(timespec="microseconds")


def _number(value: Decimal) -> str:
    """Write a decimal that the books can hold; the database would round any other in silence."""
    text = money.plain(value)
    if len(text.partition(".")[2]) > money.BOOKS_PLACES:
        raise InvariantBroken(f"{text} has more decimals than the books hold.")
    return text


def _is_text(value: object) -> bool:
    """Return whether a document has only strings, in lists and objects: JSON may write others in
    two ways.
    """
    match value:
        case str():
            return True
        case Mapping():
            return all(
                isinstance(name, str) and (type(each) is str or _is_text(each))
                for name, each in value.items()
            )
        case list() | tuple():
            return all(_is_text(item) for item in value)
    return False


def canonical_text(content: Content, prev_hash: str) -> bytes:
    """Write an entry in its one canonical form: JSON, sorted names, decimals normalised."""
    if not _is_text(content.document):
        raise InvariantBroken(f"A document holds strings only: {content.document}.")
    return _ENCODER.encode(
        {
            "prev_hash": prev_hash,
            "livemode": content.livemode,
            "book": content.book,
            "id": str(content.id),
            "sequence": content.sequence,
            "event": content.event,
            "occurred_at": _moment(content.occurred_at),
            "recorded_at": _moment(content.recorded_at),
            "accounting_date": content.accounting_date.isoformat(),
            "document": content.document,
            "postings": [
                [
                    line.debit,
                    line.credit,
                    _number(line.amount),
                    line.currency,
                    str(line.lot) if line.lot else "",
                ]
                for line in content.lines
            ],
            "movements": [
                [
                    str(movement.lot),
                    movement.kind,
                    _number(movement.quantity),
                    _number(movement.carrying),
                    _number(movement.balance_after),
                    _number(movement.held_after),
                ]
                for movement in content.movements
            ],
        }
    )


def entry_hash(content: Content, prev_hash: str) -> str:
    """Hash an entry onto the one before it; the first entry of a book follows ""."""
    return hashlib.sha256(canonical_text(content, prev_hash)).hexdigest()
