"""Sage Intacct: the header cells stand on the first line of a journal only."""

from __future__ import annotations

from ledger.exports.formats.target import ExportTarget, MappedJournal, amount

COLUMNS = (
    "JOURNAL", "DATE", "DESCRIPTION", "LINE_NO", "ACCT_NO", "LOCATION_ID", "DEPT_ID", "MEMO",
    "DEBIT", "CREDIT",
)  # fmt: skip
JOURNAL = "GJ"
DESCRIPTION_LENGTH = 30


def write(journal: MappedJournal) -> list[list[str]]:
    """Write a journal; the description, its id, has at most 30 characters."""
    header = [JOURNAL, f"{journal.day:%m/%d/%Y}", journal.id[:DESCRIPTION_LENGTH]]
    return [
        [
            *(header if number == 1 else ["", "", ""]),
            str(number),
            line.gl_code,
            "",
            "",
            f"{line.memo} {journal.currency}",
            amount(line.debit, journal.currency),
            amount(line.credit, journal.currency),
        ]
        for number, line in enumerate(journal.lines, start=1)
    ]


TARGET = ExportTarget(COLUMNS, write)
