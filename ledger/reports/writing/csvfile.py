"""A report as CSV: one header row, then the rows. Its header goes beside it, as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import BinaryIO

from ledger.reports.report_table import Header, Report
from ledger.reports.writing.tally import Tally, csv_line


def write_csv(report: Report, file: BinaryIO, *, run_at: datetime) -> Header:
    """Write a report of any size."""
    tally = Tally(report)
    file.write(csv_line([column.name for column in report.columns]))
    file.writelines(csv_line(cells) for _, cells in tally.cells())
    return tally.header(run_at=run_at)
