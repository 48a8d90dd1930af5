"""Reports written to files, each from one state of the books."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, Final, cast

from aforo.database.snapshot import snapshot
from ledger.reports import writing
from ledger.reports.report_table import Header, Report, ReportScope

IN_MEMORY = 4 * 1024 * 1024
Write = Callable[..., Header]

WRITERS: Final[dict[str, tuple[Write, str]]] = {
    "json": (writing.write_json, "application/json"),
    "csv": (writing.write_csv, "text/csv; charset=utf-8"),
    "xlsx": (
        writing.write_xlsx,
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ),
}


def write_to(
    file: BinaryIO,
    *,
    make: Callable[[ReportScope], Report],
    scope: ReportScope,
    form: str,
    run_at: datetime,
) -> Header:
    """Write a report of any size, in bounded memory."""
    with snapshot():
        return WRITERS[form][0](make(scope), file, run_at=run_at)


def spooled(
    *, make: Callable[[ReportScope], Report], scope: ReportScope, form: str, run_at: datetime
) -> tuple[BinaryIO, Header]:
    """Write a report to a temporary file; return it, rewound, with its header."""
    file = cast("BinaryIO", SpooledTemporaryFile(max_size=IN_MEMORY))  # noqa: SIM115
    header = write_to(file, make=make, scope=scope, form=form, run_at=run_at)
    file.seek(0)
    return file, header


def file_name(header: Header, form: str) -> str:
    """Return the name of a report's file, from its header."""
    facts = writing.header_facts(header)
    return f"{header.name}-{facts['mode']}-{facts['from']}-{facts['to']}.{form}"
