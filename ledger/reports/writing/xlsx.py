"""A report as an Excel workbook: the rows on one sheet, the header on another.

The rows pass through a file, not through memory. Every amount is in the workbook digit by digit:
one of up to 15 digits, which is what a spreadsheet keeps, is a number; a longer one is text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, BinaryIO, Final

from xlsxwriter import Workbook

from aforo.errors import FieldError, Invalid
from ledger.reports.report_table import ColumnKind, Header, Report
from ledger.reports.writing.headers import header_facts
from ledger.reports.writing.tally import Tally

MAX_DIGITS: Final = 15
# What a sheet can have, with its titles.
MAX_ROWS: Final = 1_048_576
MAX_TEXT: Final = 32_767
# Part of the file; fixed, so that the same rows make the same bytes.
_CREATED: Final = datetime(1980, 1, 1)  # noqa: DTZ001
_NUMBERS: Final = {ColumnKind.AMOUNT, ColumnKind.QUANTITY, ColumnKind.COUNT}

# A cell: its text, and the kind of its column.
Cell = tuple[str, ColumnKind | None]


def write_xlsx(report: Report, file: BinaryIO, *, run_at: datetime) -> Header:
    """Write a report.

    Raises: Invalid (`too_many_rows`) for more than a sheet can have.
    """
    tally = Tally(report)
    with Workbook(file, {"constant_memory": True}) as book:
        book.set_properties({"created": _CREATED})
        bold = book.add_format({"bold": True})
        amount = book.add_format({"num_format": "#,##0.00##########"})
        rows = book.add_worksheet("Report")
        for number, column in enumerate(report.columns):
            width = 18 if column.kind in _NUMBERS else max(12, len(column.title) + 2)
            rows.set_column(number, number, width)
        rows.freeze_panes(1, 0)
        kinds = [column.kind for column in report.columns]
        titles = [(column.title, None) for column in report.columns]
        _write_row(rows, 0, titles, [bold] * len(titles))
        formats = [amount if kind is ColumnKind.AMOUNT else None for kind in kinds]
        for number, (_, cells) in enumerate(tally.cells(), start=1):
            _check_fits(number)
            _write_row(rows, number, zip(cells, kinds, strict=True), formats)
        header = tally.header(run_at=run_at)
        facts = book.add_worksheet("Header")
        facts.set_column(0, 0, 24)
        facts.set_column(1, 1, 80)
        facts.freeze_panes(1, 0)
        for number, row in enumerate(_header_rows(header)):
            _write_row(facts, number, row, [bold, amount])
    return header


def _write_row(sheet: Any, number: int, cells: Iterable[Cell], formats: Sequence[Any]) -> None:
    for place, ((text, kind), form) in enumerate(zip(cells, formats, strict=True)):
        if kind in _NUMBERS and _is_exact(text):
            # The library writes a Decimal by its own digits, sixteen of them, never as a float.
            sheet.write_number(number, place, Decimal(text), form)
        else:
            # A sheet has no way to write other control characters.
            sane = "".join(x for x in text if (x >= " " or x in "\t\n\r") and x < "\ufffe")
            sheet.write_string(number, place, sane[:MAX_TEXT], form if kind is None else None)


def _is_exact(text: str) -> bool:
    return bool(text) and len(Decimal(text).as_tuple().digits) <= MAX_DIGITS


def _check_fits(number: int) -> None:
    if number >= MAX_ROWS:
        detail = f"A sheet has at most {MAX_ROWS:,} rows: ask for csv, or for less."
        raise Invalid([FieldError("/format", "too_many_rows", detail)])


def _header_rows(header: Header) -> Iterator[list[Cell]]:
    for name, value in header_facts(header).items():
        if isinstance(value, dict):
            for currency, totals in value.items():
                for column, total in totals.items():
                    title = f"total {column} {currency}".rstrip()
                    yield [(title, None), (total, ColumnKind.AMOUNT)]
        else:
            shown = " ".join(value) if isinstance(value, list) else value
            yield [(name, None), ("" if shown is None else str(shown), ColumnKind.TEXT)]
