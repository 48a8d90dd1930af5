"""Tie-outs of the books as of a day: both sides of the trial balance, and each account of the
balance sheet with the rows that it stands for, customer by customer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from django.db import connection
from django.db.models import F

from aforo import money
from aforo.money import ZERO
from aforo.periods import Period
from billing.finance import allowance
from billing.finance.closing import sources
from billing.models import AdvanceFee
from billing.subscriptions import earned_days
from ledger.models import Book
from ledger.periods import month_ends
from ledger.posting_rules import PLAN_FEES
from ledger.posting_rules.parts import EXPECTED_BREAKAGE, LOSS_ALLOWANCE
from ledger.reports.totals.trial_balance import AccountBalance, trial_balance
from wallets.lots import expected_breakage

# So many of those that differ are named.
NAMED = 10


@dataclass(frozen=True, slots=True)
class Differing:
    """Of whom both figures differ, and by how much."""

    who: str
    books: Decimal
    other: Decimal

    def __str__(self) -> str:
        return f"{self.who} {money.plain(self.books - self.other)}"


@dataclass(frozen=True, slots=True)
class TieOut:
    """A figure of the books and the figure that it must equal, in all and of each customer."""

    name: str
    currency: str
    books: Decimal
    other: Decimal
    differing: tuple[Differing, ...] = ()

    @property
    def difference(self) -> Decimal:
        return self.books - self.other

    @property
    def holds(self) -> bool:
        return self.difference == 0 and not self.differing

    def __str__(self) -> str:
        said = (
            f"{self.name}: {money.plain(self.books)} in the books, "
            f"{money.plain(self.other)} {self.currency}"
        )
        named = ", ".join(str(each) for each in self.differing[:NAMED])
        return f"{said} (differs for {named})" if named else said


def of_day(*, livemode: bool, until: date) -> list[TieOut]:
    """Return the tie-outs at the end of a day: debits = credits, and each account = its rows."""
    return [*_both_sides(trial_balance(livemode=livemode, as_of=until)), *_rows(livemode, until)]


def of_month(*, until: date) -> list[TieOut]:
    """Return the tie-outs of the live books at a month's last day, when all of it is brought up:
    those of a day; fees = what their days have not earned; expected breakage = its cohorts; the
    allowance for losses = the provision matrices.
    """
    return [
        *of_day(livemode=True, until=until),
        *_fees(until),
        *_breakage(until),
        *_allowance(until),
    ]


def _both_sides(rows: list[AccountBalance]) -> Iterator[TieOut]:
    for currency in sorted({row.currency for row in rows}):
        yield TieOut(
            "trial balance: debits = credits",
            currency,
            sum((row.debit for row in rows if row.currency == currency), ZERO),
            sum((row.credit for row in rows if row.currency == currency), ZERO),
        )


def _rows(livemode: bool, until: date) -> Iterator[TieOut]:  # noqa: FBT001
    asked: dict[str, bool | date | str | list[str]] = {
        **sources.NAMED,
        "livemode": livemode,
        "until": until,
        "end": end_of_day(until),
        "accounts": [source.account for source in sources.SOURCES],
    }
    says = {source.account: source.says for source in sources.SOURCES}
    with connection.cursor() as cursor:
        cursor.execute(sources.COMPARED, asked)
        found = cursor.fetchall()
    for account, currency, books, other, differing in found:
        yield TieOut(
            f"{account} = {says[account]}",
            currency,
            books,
            other,
            tuple(
                Differing(who, Decimal(one), Decimal(two))
                for who, one, two in json.loads(differing or "[]")
            ),
        )


def _fees(until: date) -> Iterator[TieOut]:
    """Return each currency with the fees that were not recognised by all the days that are over."""
    end = end_of_day(until)
    behind = AdvanceFee.objects.filter(
        book__livemode=True,
        starts_at__lt=end,
        recognised__lt=F("amount"),
        recognised_through__lt=end,
    ).exclude(recognised_through__gte=F("ends_at"))
    found: dict[str, list[Differing]] = {}
    for fee in behind.select_related("book").order_by("book__key", "pk"):
        due = earned_days.earned(
            fee=fee.amount, period=Period(fee.starts_at, fee.ends_at), until=end
        )
        if due > fee.recognised:
            one = Differing(fee.book.key, fee.amount - fee.recognised, fee.amount - due)
            found.setdefault(fee.currency, []).append(one)
    for currency, differing in sorted(found.items()):
        books = sum((each.books for each in differing), ZERO)
        other = sum((each.other for each in differing), ZERO)
        yield TieOut(f"{PLAN_FEES} = days to come", currency, books, other, tuple(differing))


def _breakage(until: date) -> Iterator[TieOut]:
    estimated: dict[str, Decimal] = {}
    for each in expected_breakage.estimate_breakage(livemode=True, until=until):
        estimated[each.key.currency] = estimated.get(each.key.currency, ZERO) + each.accrued
    posted = {
        row.currency: row.balance
        for row in trial_balance(livemode=True, as_of=until)
        if row.account == EXPECTED_BREAKAGE
    }
    for currency in sorted({*estimated, *posted}):
        books, other = posted.get(currency, ZERO), estimated.get(currency, ZERO)
        if books or other:
            yield TieOut(f"{EXPECTED_BREAKAGE} = cohorts", currency, books, other)


def _allowance(until: date) -> Iterator[TieOut]:
    found = allowance.of_day(livemode=True, until=until)
    names = Book.objects.in_bulk([each.book_id for each in found])
    for currency in sorted({each.currency for each in found}):
        mine = [each for each in found if each.currency == currency]
        yield TieOut(
            f"{LOSS_ALLOWANCE} = provision matrices",
            currency,
            sum((each.stands for each in mine), ZERO),
            sum((each.needed for each in mine), ZERO),
            tuple(
                Differing(names[each.book_id].key, each.stands, each.needed)
                for each in mine
                if each.stands != each.needed
            ),
        )


def end_of_day(day: date) -> datetime:
    """Return the moment at which a day is over, in the entity's zone."""
    return month_ends.midnight(day + timedelta(days=1))
