"""The French statutory file (FEC): 18 fields, tabs, decimal commas, numbering without a break.

Amounts stand in the company's currency; `Montantdevise` and `Idevise` say what was moved in
another one. A line on receivables names its customer in the auxiliary account.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from aforo import money
from aforo.money import ZERO
from ledger.exports.formats.target import Company, ExportTarget, MappedJournal, translated

COLUMNS = (
    "JournalCode", "JournalLib", "EcritureNum", "EcritureDate", "CompteNum", "CompteLib",
    "CompAuxNum", "CompAuxLib", "PieceRef", "PieceDate", "EcritureLib", "Debit", "Credit",
    "EcritureLet", "DateLet", "ValidDate", "Montantdevise", "Idevise",
)  # fmt: skip
JOURNAL = ("CR", "Crédits prépayés")
OPENING = ("AN", "À nouveaux")


@dataclass(frozen=True, slots=True)
class Balance:
    """What a line moves, or an account stood at: in the company's currency, at the rates of the
    days on which it was posted, and in the currency that was moved; debits are above zero.
    """

    gl_code: str
    gl_name: str
    memo: str
    customer: str
    amount: Decimal
    moved: Decimal
    currency: str


def write(journal: MappedJournal, company: Company) -> list[list[str]]:
    """Write a journal; dates are YYYYMMDD."""
    own = translated(journal, company.currency)
    head = _head(JOURNAL, journal.number, journal.day)
    tail = (journal.id, journal.day, journal.made_on)
    return [
        _line(
            head,
            tail,
            Balance(
                line.gl_code,
                line.gl_name,
                line.memo,
                line.customer,
                line.debit - line.credit,
                moved.debit - moved.credit,
                journal.currency,
            ),
            company,
        )
        for line, moved in zip(own.lines, journal.lines, strict=True)
        if line.debit != line.credit
    ]


def write_opening(balances: Sequence[Balance], *, day: date, company: Company) -> list[list[str]]:
    """Write the first journal of a year: what its accounts stood at before its first day."""
    head, tail = _head(OPENING, 1, day), (f"AN-{day:%Y%m%d}", day, day)
    return [_line(head, tail, each, company) for each in balances]


def _head(journal: tuple[str, str], number: int, day: date) -> list[str]:
    return [*journal, str(number), f"{day:%Y%m%d}"]


def _line(
    head: Sequence[str], tail: tuple[str, date, date], line: Balance, company: Company
) -> list[str]:
    """Write a line between what its journal has before and after it."""
    piece, day, made_on = tail
    is_foreign = line.currency != company.currency
    return [
        *head,
        line.gl_code,
        _one_line(line.gl_name),
        line.customer,
        line.customer,
        piece,
        f"{day:%Y%m%d}",
        _one_line(line.memo),
        _comma(max(line.amount, ZERO), company.currency),
        _comma(max(-line.amount, ZERO), company.currency),
        "",
        "",
        f"{made_on:%Y%m%d}",
        _comma(line.moved, line.currency) if is_foreign else "",
        line.currency if is_foreign else "",
    ]


def _comma(value: Decimal, currency: str) -> str:
    return money.amount_text(value, currency).replace(".", ",")


def _one_line(text: str) -> str:
    """Remove what separates fields and lines."""
    return " ".join(text.split())


TARGET = ExportTarget(COLUMNS, write, separator="\t", suffix="txt", needs_rates=True)
