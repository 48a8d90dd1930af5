"""Sage Intacct: the header cells stand on the first line of a journal only.

The reference number, the journal's id, stops a second upload where the journal asks for unique
ones. A company calls the columns as its own import template does (`Company.titles`).
"""

from __future__ import annotations

from aforo import money
from ledger.exports.formats.target import Company, ExportTarget, MappedJournal, amount

COLUMNS = (
    "JOURNAL", "DATE", "DESCRIPTION", "REFERENCE_NO", "LINE_NO", "ACCT_NO", "LOCATION_ID",
    "DEPT_ID", "MEMO", "DEBIT", "CREDIT", "CURRENCY", "EXCH_RATE_DATE", "EXCH_RATE_TYPE_ID",
    "EXCHANGE_RATE",
)  # fmt: skip
JOURNAL = "GJ"


def write(journal: MappedJournal, company: Company) -> list[list[str]]:
    """Write a journal; the company's own currency has no rate."""
    day = f"{journal.day:%m/%d/%Y}"
    header = [JOURNAL, day, f"Credits {journal.day} {journal.currency}", journal.id]
    foreign = journal.currency != company.currency
    at_rate = [day, company.rate_type, money.plain(journal.rate)] if foreign else ["", "", ""]
    return [
        [
            *(header if number == 1 else [""] * len(header)),
            str(number),
            line.gl_code,
            company.location,
            "",
            line.memo,
            amount(line.debit, journal.currency),
            amount(line.credit, journal.currency),
            journal.currency,
            *at_rate,
        ]
        for number, line in enumerate(journal.lines, start=1)
    ]


TARGET = ExportTarget(COLUMNS, write, needs_rates=True)
