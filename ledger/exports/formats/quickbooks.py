"""QuickBooks Online: lines group by JournalNo; accounts go by name, sub-accounts as Parent:Sub.

A line on receivables names its customer, who exists there under its key.
"""

from __future__ import annotations

from ledger.exports.formats.target import Company, ExportTarget, MappedJournal, amount

COLUMNS = (
    "JournalNo", "JournalDate", "AccountName", "Debits", "Credits", "Description", "Name",
    "Currency", "Location", "Class",
)  # fmt: skip


def write(journal: MappedJournal, company: Company) -> list[list[str]]:
    """Write a journal; the date is MM/DD/YYYY."""
    return [
        [
            journal.id,
            f"{journal.day:%m/%d/%Y}",
            line.gl_name,
            amount(line.debit, journal.currency),
            amount(line.credit, journal.currency),
            line.memo,
            line.customer,
            journal.currency,
            company.location,
            "",
        ]
        for line in journal.lines
    ]


TARGET = ExportTarget(COLUMNS, write)
