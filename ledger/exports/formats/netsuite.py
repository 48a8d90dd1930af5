"""NetSuite: the body fields repeat on every line; the external id stops duplicates."""

from __future__ import annotations

from ledger.exports.formats.target import ExportTarget, MappedJournal, amount

COLUMNS = (
    "External ID", "Date", "Posting Period", "Subsidiary", "Currency", "Exchange Rate", "Memo",
    "Reversal Date", "Account", "Debit", "Credit", "Line Memo", "Name", "Department", "Class",
    "Location",
)  # fmt: skip


def write(journal: MappedJournal) -> list[list[str]]:
    """Write a journal; the account is its number and name."""
    return [
        [
            journal.id,
            f"{journal.day:%m/%d/%Y}",
            f"{journal.day:%b %Y}",
            "",
            journal.currency,
            "",
            journal.memo,
            "",
            f"{line.gl_code} {line.gl_name}".strip(),
            amount(line.debit, journal.currency),
            amount(line.credit, journal.currency),
            line.memo,
            "",
            "",
            "",
            "",
        ]
        for line in journal.lines
    ]


TARGET = ExportTarget(COLUMNS, write)
