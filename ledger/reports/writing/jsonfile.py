"""A report as JSON: its rows, decimals as strings, each with the ways to the entries behind it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import BinaryIO
from urllib.parse import urlencode

from ledger.reports.report_table import Column, ColumnKind, Header, Report, Row
from ledger.reports.writing.headers import header_facts
from ledger.reports.writing.tally import Tally, plain

ENTRIES = "/v1/ledger/entries"


def write_json(report: Report, file: BinaryIO, *, run_at: datetime) -> Header:
    """Write `{"data": [...], "next": null, "header": {...}}`; the header is known at the end."""
    tally = Tally(report)
    file.write(b'{"data": [')
    for number, (row, _) in enumerate(tally.cells()):
        shown = {column.name: _value(row, column) for column in report.columns}
        links = drills(row, report.columns)
        if links:
            shown["links"] = {name: f"{ENTRIES}?{query}" for name, query in links.items()}
        file.write(b",\n" if number else b"\n")
        file.write(json.dumps(shown, ensure_ascii=False).encode())
    header = tally.header(run_at=run_at)
    facts = json.dumps(header_facts(header), ensure_ascii=False)
    file.write(f'\n], "next": null, "header": {facts}}}\n'.encode())
    return header


def drills(row: Row, columns: Sequence[Column]) -> dict[str, str]:
    """Return the query of the entries behind each figure that has one."""
    found = {column.name: column.drill(row) for column in columns if column.drill is not None}
    return {name: urlencode(drill) for name, drill in found.items() if drill}


def _value(row: Row, column: Column) -> object:
    value = row.get(column.name)
    if value is None or (column.kind is ColumnKind.COUNT and isinstance(value, int)):
        return value
    return plain(value, column.kind, str(row.get("currency") or ""))
