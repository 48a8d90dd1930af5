"""Recognised revenue by type and customer; it ties to the income accounts."""

from __future__ import annotations

from collections.abc import Iterator

from aforo.money import ZERO
from ledger.models import Side
from ledger.reports.report_table import Report, ReportScope, Row, amount_column, text_column
from ledger.reports.totals import sums
from ledger.reports.totals.trial_balance import account_of, chart

_EARNED = """
    SELECT side.account, b.key, p.currency, sum(side.amount)
    FROM {postings} {sides}
    WHERE {scope}
        AND e.accounting_date >= %(starts_on)s
        AND side.account IN (SELECT code FROM ledger_account WHERE statement = 'INCOME')
    GROUP BY side.account, b.key, p.currency
    ORDER BY side.account, b.key, p.currency
"""


def report(scope: ReportScope) -> Report:
    """Report gross revenue, what reduces it, and net, for each income account and customer."""

    def drill(row: Row) -> dict[str, str]:
        return {
            **scope.span,
            "account": str(row["account"]),
            "customer_id": str(row["customer_id"]),
            "currency": str(row["currency"]),
        }

    return Report(
        name="revenue",
        title="Recognised revenue",
        scope=scope,
        columns=[
            text_column("account", "Account"),
            text_column("type", "Type"),
            text_column("customer_id", "Customer"),
            text_column("currency", "Currency"),
            amount_column("gross", "Gross", drill),
            amount_column("contra", "Reductions", drill),
            amount_column("net", "Net", drill),
        ],
        rows=_rows(scope),
    )


def _rows(scope: ReportScope) -> Iterator[Row]:
    accounts = chart()
    for code, customer, currency, amount in sums.stream(_EARNED, scope):
        account = account_of(accounts, code)
        reduces = account.normal == Side.DEBIT
        yield {
            "account": code,
            "type": account.name,
            "customer_id": customer,
            "currency": currency,
            "gross": ZERO if reduces else amount,
            "contra": -amount if reduces else ZERO,
            "net": amount,
        }
