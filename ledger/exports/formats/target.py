"""What every target's file is made from: journals with their accounts named. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal

from aforo import money
from aforo.money import ZERO


@dataclass(frozen=True, slots=True)
class Company:
    """What a file has to say of the company, as its accounting system knows it.

    `titles` are the columns that its import template calls otherwise.
    """

    currency: str
    subsidiary: str = ""
    location: str = ""
    tax_rate: str = "Tax Exempt"
    rate_type: str = ""
    titles: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MappedLine:
    """A line with its account in the general ledger, and what it was in the books; on receivables
    with the customer, by its key.
    """

    account: str
    gl_code: str
    gl_name: str
    memo: str
    debit: Decimal
    credit: Decimal
    customer: str = ""


@dataclass(frozen=True, slots=True)
class MappedJournal:
    """A journal ready to be written.

    `id` is the same however often the file is asked for; `number` runs without a gap through a
    file; `rate` is what a unit is worth in the company's currency.
    """

    id: str
    number: int
    day: date
    currency: str
    made_on: date
    lines: tuple[MappedLine, ...]
    rate: Decimal = Decimal(1)

    @property
    def memo(self) -> str:
        return f"Prepaid credits {self.day.isoformat()} {self.currency}"


@dataclass(frozen=True, slots=True)
class ExportTarget:
    """A file format: its columns and how it writes a journal.

    With `lines_per_file` a longer batch is several files, cut between journals. `needs_rates`: it
    says what other currencies are worth. `refused` are accounts that its importer takes no lines
    on.
    """

    columns: Sequence[str]
    write: Callable[[MappedJournal, Company], list[list[str]]]
    separator: str = ","
    suffix: str = "csv"
    lines_per_file: int | None = None
    needs_rates: bool = False
    refused: frozenset[str] = frozenset()

    def header(self, company: Company) -> list[str]:
        """Return the titles of the columns."""
        return [company.titles.get(name, name) for name in self.columns]


def amount(value: Decimal, currency: str) -> str:
    """Write an amount in the currency's decimals, without separators; zero is an empty cell."""
    return money.amount_text(value, currency) if value else ""


def translated(journal: MappedJournal, currency: str) -> MappedJournal:
    """Return a journal in the company's currency, at the rate of its day, line by line.

    Each line is rounded, and what then keeps the two sides apart is added to the largest line,
    which it changes least.
    """
    if journal.currency == currency:
        return journal
    lines = [
        replace(
            line,
            debit=money.round_amount(line.debit * journal.rate, currency),
            credit=money.round_amount(line.credit * journal.rate, currency),
        )
        for line in journal.lines
    ]
    apart = sum((line.debit - line.credit for line in lines), ZERO)
    if apart:
        place = max(range(len(lines)), key=lambda at: max(lines[at].debit, lines[at].credit))
        line = lines[place]
        lines[place] = (
            replace(line, debit=line.debit - apart)
            if line.debit
            else replace(line, credit=line.credit + apart)
        )
    return replace(journal, currency=currency, lines=tuple(lines), rate=Decimal(1))
