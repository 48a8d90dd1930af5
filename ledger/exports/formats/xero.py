"""Xero manual journals: one signed amount, debits above zero; lines group by narration and date.

They have no currency, so that amounts are translated into the company's, and the narration names
the other one. Bank accounts and receivables cannot be journalled there: a batch that moves them
needs a clearing account, which stands for them.
"""

from __future__ import annotations

from aforo import money
from ledger.exports.formats.target import Company, ExportTarget, MappedJournal, translated
from ledger.posting_rules.parts import BANK, RECEIVABLE

COLUMNS = (
    "*Narration", "*Date", "Description", "*AccountCode", "*TaxRate", "*Amount", "TrackingName1",
    "TrackingOption1", "TrackingName2", "TrackingOption2",
)  # fmt: skip
LINES_PER_FILE = 300


def write(journal: MappedJournal, company: Company) -> list[list[str]]:
    """Write a journal; the date is dd/mm/yyyy, and the narration begins with the id."""
    shown = translated(journal, company.currency)
    return [
        [
            f"{journal.id} {journal.memo}",
            f"{journal.day:%d/%m/%Y}",
            line.memo,
            line.gl_code,
            company.tax_rate,
            money.amount_text(line.debit - line.credit, shown.currency),
            "",
            "",
            "",
            "",
        ]
        for line in shown.lines
        if line.debit != line.credit
    ]


TARGET = ExportTarget(
    COLUMNS,
    write,
    lines_per_file=LINES_PER_FILE,
    needs_rates=True,
    refused=frozenset({BANK, RECEIVABLE}),
)
