"""The trial balance: what every account was, was debited and credited, and is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from aforo.money import ZERO
from ledger.models import Account, Side
from ledger.reports.report_table import Drill, Report, ReportScope, Row, amount_column, text_column
from ledger.reports.totals import sums
from ledger.reports.totals.sums import Moved


@dataclass(frozen=True, slots=True)
class AccountBalance:
    """An account's turnover in one currency; `balance` is on its normal side."""

    account: str
    name: str
    currency: str
    debit: Decimal
    credit: Decimal
    balance: Decimal


@dataclass(slots=True)
class _Turnover:
    """Debits less credits before the span, and both sides in it."""

    opening: Decimal = ZERO
    debit: Decimal = ZERO
    credit: Decimal = ZERO


def chart() -> dict[str, Account]:
    """Read the chart of accounts."""
    return Account.objects.in_bulk()


def account_of(accounts: dict[str, Account], code: str) -> Account:
    """Return an account; one that is missing from the chart is shown as such, so that both sides of
    every sum still agree. Verification names the entry.
    """
    return accounts.get(code) or Account(code=code, name="(not in the chart)", normal=Side.DEBIT)


def _turnovers(found: Sequence[Moved]) -> dict[tuple[str, str], _Turnover]:
    turnovers: dict[tuple[str, str], _Turnover] = defaultdict(_Turnover)
    for move in found:
        debited, credited = (turnovers[x, move.currency] for x in (move.debit, move.credit))
        debited.opening += move.before
        debited.debit += move.inside
        credited.opening -= move.before
        credited.credit += move.inside
    return turnovers


def trial_balance(
    *, livemode: bool, as_of: date | None = None, currency: str | None = None
) -> list[AccountBalance]:
    """Sum the postings of a mode up to and including a day, by account and currency."""
    ends_on = date.max if as_of is None or as_of == date.max else as_of + timedelta(days=1)
    scope = ReportScope(livemode=livemode, ends_on=ends_on, currency=currency)
    accounts = chart()
    balances = []
    for (code, unit), turnover in sorted(_turnovers(sums.moved(scope)).items()):
        account = account_of(accounts, code)
        balance = turnover.debit - turnover.credit
        if account.normal == Side.CREDIT:
            balance = -balance
        balances.append(
            AccountBalance(code, account.name, unit, turnover.debit, turnover.credit, balance)
        )
    return balances


def report(scope: ReportScope) -> Report:
    """Report every account's opening, turnover and closing, each balance on its normal side.

    In the totals, the debits equal the credits, and so do the balances by side.
    """

    def behind(span: Drill) -> Callable[[Row], Drill]:
        return lambda row: {
            **span,
            "account": str(row["account"]),
            "currency": str(row["currency"]),
        }

    def one_side(side: str) -> Callable[[Row], Drill]:
        return lambda row: {
            **scope.span,
            side: str(row["account"]),
            "currency": str(row["currency"]),
        }

    return Report(
        name="trial-balance",
        title="Trial balance",
        scope=scope,
        columns=[
            text_column("account", "Account"),
            text_column("name", "Name"),
            text_column("currency", "Currency"),
            text_column("side", "Normal side"),
            amount_column("opening", "Opening", behind(scope.before), total=False, kept=True),
            amount_column("debit", "Debits", one_side("debit")),
            amount_column("credit", "Credits", one_side("credit")),
            amount_column("closing", "Closing", behind(scope.until_end), total=False, kept=True),
            amount_column("closing_debit", "Closing debit"),
            amount_column("closing_credit", "Closing credit"),
        ],
        rows=_rows(scope),
    )


def _rows(scope: ReportScope) -> Iterator[Row]:
    accounts = chart()
    for (code, currency), turnover in sorted(_turnovers(sums.moved(scope)).items()):
        account = account_of(accounts, code)
        sign = 1 if account.normal == Side.DEBIT else -1
        closing = turnover.opening + turnover.debit - turnover.credit
        yield {
            "account": code,
            "name": account.name,
            "currency": currency,
            "side": str(account.normal).lower(),
            "opening": sign * turnover.opening,
            "debit": turnover.debit,
            "credit": turnover.credit,
            "closing": sign * closing,
            "closing_debit": max(closing, ZERO),
            "closing_credit": max(-closing, ZERO),
        }
