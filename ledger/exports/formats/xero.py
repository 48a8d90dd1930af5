"""Xero manual journals: one signed amount, debits above zero; lines group by narration and date.

Receivables and payables cannot be journalled there: map those accounts to secondary ones.
"""

from __future__ import annotations

from aforo import money
from ledger.exports.formats.target import ExportTarget, MappedJournal

COLUMNS = (
    "*Narration", "*Date", "Description", "*AccountCode", "*TaxRate", "*Amount", "TrackingName1",
    "TrackingOption1", "TrackingName2", "TrackingOption2",
)  # fmt: skip
TAX_RATE = "Tax Exempt"
LINES_PER_FILE = 300


def write(journal: MappedJournal) -> list[list[str]]:
    """Write a journal; the date is dd/mm/yyyy, and the narration begins with the id."""
    return [
        [
            f"{journal.id} {journal.memo}",
            f"{journal.day:%d/%m/%Y}",
            line.memo,
            line.gl_code,
            TAX_RATE,
            money.amount_text(line.debit - line.credit, journal.currency),
            "",
            "",
            "",
            "",
        ]
        for line in journal.lines
    ]


TARGET = ExportTarget(COLUMNS, write, lines_per_file=LINES_PER_FILE)
