"""What every report is made of: a scope that was asked for, columns, and rows as a stream. Pure.

Rows are read once, in order, so a report of any size takes little memory; what the header says of
them is known when the last has passed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

Value = str | Decimal | int | date | datetime | None
Row = Mapping[str, Value]
# The filter of the entries behind a figure, as `GET /v1/ledger/entries` and the admin read it.
Drill = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ReportScope:
    """Which entries a report is about, by accounting date: the span [starts_on, ends_on), after
    the opening that everything before it makes.

    With `recorded_until` the books are read as they stood at that moment.
    """

    livemode: bool
    starts_on: date = date.min
    ends_on: date = date.max
    recorded_until: datetime | None = None
    currency: str | None = None
    customer_id: str | None = None

    @property
    def span(self) -> Drill:
        """The filter of what was posted in the span."""
        return self.until_end | {"accounting_from": self.starts_on.isoformat()}

    @property
    def until_end(self) -> dict[str, str]:
        """The filter of everything that was posted before the span's end."""
        found = {"accounting_to": self.ends_on.isoformat()}
        if self.currency is not None:
            found["currency"] = self.currency
        if self.customer_id is not None:
            found["customer_id"] = self.customer_id
        if self.recorded_until is not None:
            found["recorded_until"] = self.recorded_until.isoformat()
        return found

    @property
    def before(self) -> Drill:
        """The filter of the opening."""
        return self.until_end | {"accounting_to": self.starts_on.isoformat()}


class ColumnKind(StrEnum):
    TEXT = "text"
    AMOUNT = "amount"
    QUANTITY = "quantity"
    COUNT = "count"
    DATE = "date"
    MOMENT = "moment"


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `total` sums it, by the row's currency, into the control totals.

    A table for the eye leaves out columns in which there is nothing, unless `kept`, and those that
    are for machines: they are `in_files_only`.
    """

    name: str
    title: str
    kind: ColumnKind = ColumnKind.TEXT
    total: bool = False
    drill: Callable[[Row], Drill | None] | None = None
    kept: bool = False
    in_files_only: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """A report, before it is written; its rows can be read once.

    `notes` says what holds or is left out, in sentences.
    """

    name: str
    title: str
    scope: ReportScope
    columns: Sequence[Column]
    rows: Iterable[Row]
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Covered:
    """The entries that a report could see: the range of what was read."""

    entries: int
    first_recorded_at: datetime | None
    last_recorded_at: datetime | None
    first_sequence: int | None = None
    last_sequence: int | None = None


@dataclass(frozen=True, slots=True)
class Header:
    """What identifies a report and makes another run comparable with it.

    `sha256` is of the rows as CSV, whatever the format, so that the same rows have the same hash.
    """

    name: str
    title: str
    entity: str
    scope: ReportScope
    run_at: datetime
    covered: Covered
    rows: int
    totals: Mapping[str, Mapping[str, Decimal]]
    sha256: str
    notes: Sequence[str] = ()


def text_column(name: str, title: str) -> Column:
    """Return a column of text."""
    return Column(name, title)


def amount_column(
    name: str,
    title: str,
    drill: Callable[[Row], Drill | None] | None = None,
    *,
    total: bool = True,
    kept: bool = False,
) -> Column:
    """Return a column of money."""
    return Column(name, title, ColumnKind.AMOUNT, total, drill, kept)
