"""What every target's file is made from: journals with their accounts named. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from aforo import money


@dataclass(frozen=True, slots=True)
class MappedLine:
    """A line with its account in the general ledger, and what it was in the books."""

    account: str
    gl_code: str
    gl_name: str
    memo: str
    debit: Decimal
    credit: Decimal


@dataclass(frozen=True, slots=True)
class MappedJournal:
    """A journal ready to be written.

    `id` is the same however often the file is asked for; `number` runs without a gap through all
    files of the format.
    """

    id: str
    number: int
    day: date
    currency: str
    made_on: date
    lines: tuple[MappedLine, ...]

    @property
    def memo(self) -> str:
        return f"Prepaid credits {self.day.isoformat()} {self.currency}"


@dataclass(frozen=True, slots=True)
class ExportTarget:
    """A file format: its columns and how it writes a journal.

    With `lines_per_file` a longer batch is several files, cut between journals.
    """

    columns: Sequence[str]
    write: Callable[[MappedJournal], list[list[str]]]
    separator: str = ","
    suffix: str = "csv"
    lines_per_file: int | None = None


def amount(value: Decimal, currency: str) -> str:
    """Write an amount in the currency's decimals, without separators; zero is an empty cell."""
    return money.amount_text(value, currency) if value else ""
