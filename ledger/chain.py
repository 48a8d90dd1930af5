"""The hash chain of a book: SHA-256 over the canonical text of each entry and the hash before it.

The text is rebuilt from columns (mode, book, sequence, event, both times, accounting date,
document, ordered postings and movements), so any edit of any of them breaks the chain. Pure.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

from aforo import money
from ledger.recipes import Line


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
    sequence: int
    event: str
    occurred_at: datetime
    recorded_at: datetime
    accounting_date: date
    document: Mapping[str, object]
    lines: Sequence[Line]
    movements: Sequence[MovementLine]


def _moment(value: datetime) -> str:
    """Write a moment in UTC with all six decimals of the second, always."""
    return value.astimezone(UTC).isoformat(timespec="microseconds")


def canonical_text(content: Content, prev_hash: str) -> str:
    """Write an entry in its one canonical form: JSON, sorted names, decimals normalised."""
    return json.dumps(
        {
            "prev_hash": prev_hash,
            "livemode": content.livemode,
            "book": content.book,
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
                    money.plain(line.amount),
                    line.currency,
                    str(line.lot) if line.lot else "",
                ]
                for line in content.lines
            ],
            "movements": [
                [
                    str(movement.lot),
                    movement.kind,
                    money.plain(movement.quantity),
                    money.plain(movement.carrying),
                    money.plain(movement.balance_after),
                    money.plain(movement.held_after),
                ]
                for movement in content.movements
            ],
        },
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
    )


def entry_hash(content: Content, prev_hash: str) -> str:
    """Hash an entry onto the one before it; the first entry of a book follows ""."""
    return hashlib.sha256(canonical_text(content, prev_hash).encode()).hexdigest()
