"""QuickBooks Online: lines group by JournalNo; accounts go by name, sub-accounts as Parent:Sub."""

from __future__ import annotations

from ledger.exports.formats.target import ExportTarget, MappedJournal, amount
from ledger.posting_rules.parts import RECEIVABLE

COLUMNS = (
    "JournalNo", "JournalDate", "AccountName", "Debits", "Credits", "Description", "Name",
    "Currency", "Location", "Class",
)  # fmt: skip
# A line on receivables is refused without a customer; one stands for all of them.
CUSTOMERS = "Prepaid credit customers"


def write(journal: MappedJournal) -> list[list[str]]:
    """Write a journal; the date is MM/DD/YYYY."""
    return [
        [
            journal.id,
            f"{journal.day:%m/%d/%Y}",
            line.gl_name,
            amount(line.debit, journal.currency),
            amount(line.credit, journal.currency),
            line.memo,
            CUSTOMERS if line.account == RECEIVABLE else "",
            journal.currency,
            "",
            "",
        ]
        for line in journal.lines
    ]


TARGET = ExportTarget(COLUMNS, write)
