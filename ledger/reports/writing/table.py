"""A report as a table for the console."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice

from rich.console import Console
from rich.table import Table

from ledger.reports.report_table import Column, ColumnKind, Header, Report
from ledger.reports.writing.headers import header_facts
from ledger.reports.writing.tally import Tally

MAX_ROWS = 1_000
_NUMBERS = {ColumnKind.AMOUNT, ColumnKind.QUANTITY, ColumnKind.COUNT}


def print_table(report: Report, console: Console, *, run_at: datetime) -> Header:
    """Print a report with its header, but no empty columns and no rows beyond the first thousand; a
    line names what is left out.
    """
    tally = Tally(report)
    passing = tally.cells()
    shown = [cells for _, cells in islice(passing, MAX_ROWS)]
    for _ in passing:
        pass
    header = tally.header(run_at=run_at)
    table = Table(title=header.title, title_justify="left")
    kept = kept_columns(report.columns, shown)
    for number in kept:
        column = report.columns[number]
        table.add_column(
            column.title,
            justify="right" if column.kind in _NUMBERS else "left",
            no_wrap=column.kind in _NUMBERS,
        )
    for cells in shown:
        table.add_row(*(cells[number] for number in kept))
    console.print(table)
    for name, value in header_facts(header).items():
        if value not in (None, [], {}) and name not in {"report", "title"}:
            console.print(f"{name}: {_written(value)}", highlight=False, markup=False)
    if len(kept) < len(report.columns):
        _say_what_is_missing(report.columns, kept, console)
    if header.rows > len(shown):
        console.print(f"{header.rows - len(shown)} more rows: ask for csv or xlsx.")
    return header


def _say_what_is_missing(columns: Sequence[Column], kept: list[int], console: Console) -> None:
    for says, titles in zip(
        ("Without figures", "In files only"), missing(columns, kept), strict=True
    ):
        if titles:
            console.print(f"{says}: {', '.join(titles)}.", highlight=False)


def missing(columns: Sequence[Column], kept: list[int]) -> tuple[list[str], list[str]]:
    """Return the titles of the columns that were left out: empty ones, and those for files only."""
    left = [column for number, column in enumerate(columns) if number not in kept]
    return (
        [column.title for column in left if not column.in_files_only],
        [column.title for column in left if column.in_files_only],
    )


def kept_columns(columns: Sequence[Column], shown: Sequence[Sequence[str]]) -> list[int]:
    """Return the numbers of the columns for the eye that have something in them, or are kept."""
    return [
        number
        for number, column in enumerate(columns)
        if not column.in_files_only
        and (column.kept or not shown or any(not is_nothing(cells[number]) for cells in shown))
    ]


def is_nothing(cell: str) -> bool:
    """Return whether a cell is empty or a zero."""
    return not cell.strip("-0.")


def _written(value: object) -> str:
    match value:
        case Mapping():
            return "; ".join(f"{name} {_written(part)}" for name, part in value.items())
        case list():
            return " ".join(str(part) for part in value)
        case _:
            return str(value)
