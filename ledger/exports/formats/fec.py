"""The French statutory file (FEC): 18 fields, tabs, decimal commas, numbering without a break.

The books keep no exchange rates, so an amount in another currency than the euro stands in its own,
which `Idevise` names.
"""

from __future__ import annotations

from decimal import Decimal

from aforo import money
from ledger.exports.formats.target import ExportTarget, MappedJournal

COLUMNS = (
    "JournalCode", "JournalLib", "EcritureNum", "EcritureDate", "CompteNum", "CompteLib",
    "CompAuxNum", "CompAuxLib", "PieceRef", "PieceDate", "EcritureLib", "Debit", "Credit",
    "EcritureLet", "DateLet", "ValidDate", "Montantdevise", "Idevise",
)  # fmt: skip
CODE, LABEL, ACCOUNTING_CURRENCY = "CR", "Crédits prépayés", "EUR"


def _comma(value: Decimal, currency: str) -> str:
    return money.amount_text(value, currency).replace(".", ",")


def write(journal: MappedJournal) -> list[list[str]]:
    """Write a journal; dates are YYYYMMDD."""
    foreign = journal.currency != ACCOUNTING_CURRENCY
    return [
        [
            CODE,
            LABEL,
            str(journal.number),
            f"{journal.day:%Y%m%d}",
            line.gl_code,
            _one_line(line.gl_name),
            "",
            "",
            journal.id,
            f"{journal.day:%Y%m%d}",
            _one_line(line.memo),
            _comma(line.debit, journal.currency),
            _comma(line.credit, journal.currency),
            "",
            "",
            f"{journal.made_on:%Y%m%d}",
            _comma(line.debit - line.credit, journal.currency) if foreign else "",
            journal.currency if foreign else "",
        ]
        for line in journal.lines
    ]


def _one_line(text: str) -> str:
    """Remove what separates fields and lines."""
    return " ".join(text.split())


TARGET = ExportTarget(COLUMNS, write, separator="\t", suffix="txt")
