"""Summarised journals: one a day and currency, in payable amounts, each balanced. Pure.

The books are exact; a file has cents. What rounding leaves of an account is not lost but carried
into its next amount, so that all that was ever exported of an account is never further than half a
cent from the books; the residue of a journal goes to the rounding account.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import groupby

from aforo import money
from aforo.errors import InvariantBroken

ZERO = Decimal(0)
ROUNDING = "7900"
# What stands for receivables and cash where the accounting system books them itself.
CLEARING = "clearing"
BOOKED_ELSEWHERE = frozenset({"1000", "1010", "1020", "1100"})

# Of an account, currency and side: what is in the books and not yet in any file.
Residues = dict[str, Decimal]


@dataclass(frozen=True, slots=True)
class Sums:
    """What was posted to an account on a day, exact."""

    day: date
    currency: str
    account: str
    debit: Decimal
    credit: Decimal


@dataclass(frozen=True, slots=True)
class JournalLine:
    """One side of an account, in payable units; exactly one of the two amounts is above zero."""

    account: str
    debit: Decimal
    credit: Decimal


@dataclass(frozen=True, slots=True)
class Journal:
    """A balanced journal of one day and currency."""

    day: date
    currency: str
    lines: tuple[JournalLine, ...]


def residue_key(account: str, currency: str, side: str) -> str:
    """Name a residue."""
    return f"{account}|{currency}|{side}"


def summarise(
    sums: Iterable[Sums], carried: Mapping[str, Decimal]
) -> tuple[list[Journal], Residues]:
    """Round sums, in order of day and currency, into journals; give what stays unexported.

    0.004 a day is 0.00, 0.01, 0.00, 0.01, 0.01: after five days the 0.02 that the books have.
    """
    residues = dict(carried)
    journals = []
    for (day, currency), group in groupby(sums, key=lambda each: (each.day, each.currency)):
        lines = [line for each in group for line in _rounded(each, residues)]
        lines += _balancing(lines)
        if lines:
            journals.append(Journal(day, currency, tuple(lines)))
    return journals, {key: residue for key, residue in residues.items() if residue}


def _rounded(sums: Sums, residues: Residues) -> list[JournalLine]:
    lines = []
    for side, exact in (("debit", sums.debit), ("credit", sums.credit)):
        key = residue_key(sums.account, sums.currency, side)
        due = exact + residues.get(key, ZERO)
        payable = max(money.round_amount(due, sums.currency), ZERO)
        residues[key] = due - payable
        if payable:
            debit, credit = (payable, ZERO) if side == "debit" else (ZERO, payable)
            lines.append(JournalLine(sums.account, debit, credit))
    return lines


def _balancing(lines: list[JournalLine]) -> list[JournalLine]:
    """Give the line that the rounding account takes so that a journal balances."""
    excess = sum((line.debit - line.credit for line in lines), ZERO)
    if excess == 0:
        return []
    return [JournalLine(ROUNDING, max(-excess, ZERO), max(excess, ZERO))]


def check(journal: Journal) -> None:
    """Refuse a journal that does not balance, or has a line of nothing or of both sides.

    Raises: InvariantBroken.
    """
    if sum((line.debit - line.credit for line in journal.lines), ZERO) != 0:
        raise InvariantBroken(f"The journal of {journal.day} in {journal.currency} is unbalanced.")
    for line in journal.lines:
        if (line.debit > 0) == (line.credit > 0) or min(line.debit, line.credit) < 0:
            raise InvariantBroken(f"A line has not one side: {line}.")


def without_receivables_and_cash(sums: Iterable[Sums]) -> list[Sums]:
    """Put the net of receivables and cash of a day and currency into one clearing amount.

    Payments of invoices, which move only between them, fall away.
    """
    kept: list[Sums] = []
    for (day, currency), group in groupby(sums, key=lambda each: (each.day, each.currency)):
        net = ZERO
        for each in group:
            if each.account in BOOKED_ELSEWHERE:
                net += each.debit - each.credit
            else:
                kept.append(each)
        if net:
            kept.append(Sums(day, currency, CLEARING, max(net, ZERO), max(-net, ZERO)))
    return kept
