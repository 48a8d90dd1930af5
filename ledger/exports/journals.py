"""Summarised journals: one a day and currency, in payable amounts, each balanced. Pure.

The books are exact; a file has cents. What was ever posted from one account to another is rounded
as one sum, whose growth is what a day exports. So a pair of accounts is never further than half a
cent from the books, however many days and batches it took, and every journal balances by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import groupby

from aforo import money
from aforo.errors import InvariantBroken
from aforo.money import ZERO
from ledger.posting_rules import parts
from ledger.posting_rules.parts import BANK, DISPUTED, RECEIVABLE

# The account in place of receivables and cash where the accounting system books them itself.
CLEARING = "clearing"
BOOKED_ELSEWHERE = frozenset({BANK, parts.CLEARING, DISPUTED, RECEIVABLE})

# Of a pair of accounts and a currency: what is in the books and not yet in any file.
Residues = dict[str, Decimal]
# An account and, on receivables, the customer.
Place = tuple[str, str]
# An account, a currency, and "debit" or "credit".
Side = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Sums:
    """What was posted from one account to another on a day, exact; on receivables of one customer,
    by its key.
    """

    day: date
    currency: str
    debit: str
    credit: str
    amount: Decimal
    customer: str = ""


@dataclass(frozen=True, slots=True)
class JournalLine:
    """One side of an account, on receivables of one customer, in payable units; exactly one of the
    two amounts is above zero.
    """

    account: str
    debit: Decimal
    credit: Decimal
    customer: str = ""


@dataclass(frozen=True, slots=True)
class SummaryJournal:
    """A balanced journal of one day and currency."""

    day: date
    currency: str
    lines: tuple[JournalLine, ...]


def residue_key(each: Sums) -> str:
    """Return the name of a residue."""
    pair = f"{each.debit}>{each.credit}|{each.currency}"
    return f"{pair}|{each.customer}" if each.customer else pair


def summarise(
    sums: Iterable[Sums], carried: Mapping[str, Decimal]
) -> tuple[list[SummaryJournal], Residues]:
    """Round sums, in order of day and currency, into journals; return what stays unexported too.

    0.004 a day is 0.00, 0.01, 0.00, 0.01, 0.01: after five days the 0.02 that the books have.
    """
    residues = dict(carried)
    journals = []
    for (day, currency), group in groupby(sums, key=lambda each: (each.day, each.currency)):
        debited: dict[Place, Decimal] = {}
        credited: dict[Place, Decimal] = {}
        for each in group:
            amount = _grown(each, residues)
            for side, account in ((debited, each.debit), (credited, each.credit)):
                place = (account, each.customer if account == RECEIVABLE else "")
                side[place] = side.get(place, ZERO) + amount
        lines = _lines(debited, credited)
        if lines:
            journals.append(SummaryJournal(day, currency, tuple(lines)))
    return journals, {key: residue for key, residue in residues.items() if residue}


def _grown(sums: Sums, residues: Residues) -> Decimal:
    """Return by how much a pair's rounded sum grows, and write down what that leaves."""
    key = residue_key(sums)
    due = sums.amount + residues.get(key, ZERO)
    # After half a cent was rounded up, the sum waits until the books have caught up with it.
    payable = max(money.round_amount(due, sums.currency), ZERO)
    residues[key] = due - payable
    return payable


def _lines(
    debited: Mapping[Place, Decimal], credited: Mapping[Place, Decimal]
) -> list[JournalLine]:
    """List the sides of each account in order; what stands for receivables and cash is net."""
    lines = []
    for place in sorted({*debited, *credited}):
        debit, credit = debited.get(place, ZERO), credited.get(place, ZERO)
        account, customer = place
        if account == CLEARING:
            debit, credit = max(debit - credit, ZERO), max(credit - debit, ZERO)
        if debit:
            lines.append(JournalLine(account, debit, ZERO, customer))
        if credit:
            lines.append(JournalLine(account, ZERO, credit, customer))
    return lines


def check(journal: SummaryJournal) -> None:
    """Check that a journal balances, and that each line has an amount on exactly one side.

    Raises: InvariantBroken.
    """
    if sum((line.debit - line.credit for line in journal.lines), ZERO) != 0:
        raise InvariantBroken(f"The journal of {journal.day} in {journal.currency} is unbalanced.")
    for line in journal.lines:
        if (line.debit > 0) == (line.credit > 0) or min(line.debit, line.credit) < 0:
            raise InvariantBroken(f"A line has not one side: {line}.")


def without_receivables_and_cash(sums: Iterable[Sums]) -> list[Sums]:
    """Replace receivables and cash by one clearing account.

    Payments of invoices, which move only between them, fall away.
    """
    kept: dict[tuple[date, str, str, str], Decimal] = {}
    for each in sums:
        debit, credit = (
            CLEARING if account in BOOKED_ELSEWHERE else account
            for account in (each.debit, each.credit)
        )
        if debit != credit:
            pair = (each.day, each.currency, debit, credit)
            kept[pair] = kept.get(pair, ZERO) + each.amount
    return [Sums(*pair, amount) for pair, amount in kept.items()]


def by_side(journals: Iterable[SummaryJournal]) -> dict[Side, Decimal]:
    """Sum the lines of journals by account, currency and side."""
    found: dict[Side, Decimal] = {}
    for journal in journals:
        for line in journal.lines:
            for side, amount in (("debit", line.debit), ("credit", line.credit)):
                if amount:
                    key = (line.account, journal.currency, side)
                    found[key] = found.get(key, ZERO) + amount
    return found


def residues_by_account(residues: Mapping[str, str]) -> dict[tuple[str, str], Decimal]:
    """Sum residues by account and currency, debits above zero."""
    found: dict[tuple[str, str], Decimal] = {}
    for key, text in residues.items():
        pair, currency = key.split("|")[:2]
        for account, amount in zip(pair.split(">"), (Decimal(text), -Decimal(text)), strict=True):
            found[account, currency] = found.get((account, currency), ZERO) + amount
    return found
