"""Count, sum and hash a report's rows as they pass, for its header."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

from django.conf import settings

from aforo import money
from aforo.money import ZERO
from ledger.reports.report_table import Column, ColumnKind, Header, Report, Row, Value
from ledger.reports.totals import sums

# What a spreadsheet would take for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Tally:
    """Counts, sums and hashes the rows of one report as they pass."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.rows = 0
        self.totals: dict[str, dict[str, Decimal]] = defaultdict(dict)
        self._hash = hashlib.sha256()
        self._summed = [column.name for column in report.columns if column.total]
        self._hash.update(csv_line([column.name for column in report.columns]))

    def cells(self) -> Iterator[tuple[Row, list[str]]]:
        """Return each row with its cells as text."""
        for row in self.report.rows:
            cells = [cell(row, column) for column in self.report.columns]
            self.take(row, csv_line(cells))
            yield row, cells

    def take(self, row: Row, line: bytes) -> None:
        """Count a row in."""
        self.rows += 1
        self._hash.update(line)
        currency = str(row.get("currency") or "")
        sums_of = self.totals[currency] if self._summed else {}
        for name in self._summed:
            value = row.get(name)
            if isinstance(value, Decimal):
                sums_of[name] = sums_of.get(name, ZERO) + value

    def header(self, *, run_at: datetime) -> Header:
        """Return the header of what has passed."""
        report = self.report
        return Header(
            name=report.name,
            title=report.title,
            entity=settings.ENTITY_NAME,
            scope=report.scope,
            run_at=run_at,
            covered=sums.covered(report.scope),
            rows=self.rows,
            totals=self.totals,
            sha256=self._hash.hexdigest(),
            notes=report.notes,
        )


def csv_line(cells: Sequence[str]) -> bytes:
    """Write one line of CSV (RFC 4180)."""
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue().encode()


def cell(row: Row, column: Column) -> str:
    """Write a value as text: amounts exact and with the currency's decimals at least."""
    value = row.get(column.name)
    text = plain(value, column.kind, str(row.get("currency") or ""))
    if column.kind is ColumnKind.TEXT and text.startswith(_FORMULA):
        # An apostrophe keeps a spreadsheet from running what a customer wrote.
        return f"'{text}"
    return text


def plain(value: Value, kind: ColumnKind, currency: str) -> str:
    """Write a value as it is."""
    match value:
        case None:
            return ""
        case Decimal() if kind is ColumnKind.AMOUNT and currency in money.EXPONENTS:
            return money.amount_text(value, currency)
        case Decimal():
            return money.plain(value)
        case datetime():
            return value.astimezone(UTC).isoformat()
        case date():
            return value.isoformat()
        case _:
            return str(value)
