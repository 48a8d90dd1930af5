"""NetSuite: the body fields repeat on every line; the external id stops duplicates.

The exchange rate is that of the day, which the import would otherwise take from its own table. A
line on receivables names the customer, who exists there under its key.
"""

from __future__ import annotations

from aforo import money
from ledger.exports.formats.target import Company, ExportTarget, MappedJournal, amount

COLUMNS = (
    "External ID", "Date", "Posting Period", "Subsidiary", "Currency", "Exchange Rate", "Memo",
    "Reversal Date", "Account", "Debit", "Credit", "Line Memo", "Name", "Department", "Class",
    "Location",
)  # fmt: skip


def write(journal: MappedJournal, company: Company) -> list[list[str]]:
    """Write a journal; the account is its number and name."""
    return [
        [
            journal.id,
            f"{journal.day:%m/%d/%Y}",
            f"{journal.day:%b %Y}",
            company.subsidiary,
            journal.currency,
            money.plain(journal.rate),
            journal.memo,
            "",
            f"{line.gl_code} {line.gl_name}".strip(),
            amount(line.debit, journal.currency),
            amount(line.credit, journal.currency),
            line.memo,
            line.customer,
            "",
            "",
            company.location,
        ]
        for line in journal.lines
    ]


TARGET = ExportTarget(COLUMNS, write, needs_rates=True)
