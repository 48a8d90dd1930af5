"""The matrix of debits and credits: which pairs of accounts moved how much."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from decimal import Decimal

from aforo.money import ZERO
from ledger.reports.report_table import (
    Column,
    Drill,
    Report,
    ReportScope,
    Row,
    amount_column,
    text_column,
)
from ledger.reports.totals import sums
from ledger.reports.totals.trial_balance import account_of, chart


def report(scope: ReportScope) -> Report:
    """Report a row for each debited account, and a column for each credited one."""
    moves = [move for move in sums.moved(scope) if move.postings]
    credited = sorted({move.credit for move in moves})
    cells: dict[tuple[str, str], dict[str, Decimal]] = defaultdict(dict)
    for move in moves:
        row = cells[move.debit, move.currency]
        row[move.credit] = row.get(move.credit, ZERO) + move.inside
    accounts = chart()
    return Report(
        name="debit-credit-matrix",
        title="Debits by credits",
        scope=scope,
        columns=[
            text_column("debit", "Debited"),
            text_column("name", "Name"),
            text_column("currency", "Currency"),
            *(_column(scope, code) for code in credited),
            amount_column("total", "Total debited", _drill(scope)),
        ],
        rows=[
            {
                "debit": debit,
                "name": account_of(accounts, debit).name,
                "currency": currency,
                **{code: row.get(code, ZERO) for code in credited},
                "total": sum(row.values(), ZERO),
            }
            for (debit, currency), row in sorted(cells.items())
        ],
        notes=_names(credited),
    )


def _column(scope: ReportScope, code: str) -> Column:
    return amount_column(code, f"Credited {code}", _drill(scope, code))


def _drill(scope: ReportScope, credit: str = "") -> Callable[[Row], Drill]:
    def drill(row: Row) -> Drill:
        pair = {"debit": str(row["debit"]), "currency": str(row["currency"])}
        return {**scope.span, **pair, **({"credit": credit} if credit else {})}

    return drill


def _names(codes: Sequence[str]) -> list[str]:
    accounts = chart()
    named = ", ".join(f"{code} {account_of(accounts, code).name}" for code in codes)
    return [f"Credited: {named}."] if codes else []
