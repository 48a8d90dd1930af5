"""What was served and not paid: captures of which their reservation's policy left a part
(docs/decisions.md#d270).
"""

from __future__ import annotations

from collections.abc import Iterator

from ledger.reports.report_table import (
    Column,
    ColumnKind,
    Report,
    ReportScope,
    Row,
    amount_column,
    text_column,
)
from ledger.reports.totals import sums

_UNCOVERED = """
    SELECT b.key, d.occurred_at, d.reservation, d.id, w.currency, d.quantity, d.uncovered, d.debt,
        d.debt_reversed
    FROM wallets_debit d
    JOIN ledger_entry e ON e.id = d.entry_id
    JOIN ledger_book b ON b.id = e.book_id
    JOIN wallets_wallet w ON w.id = d.wallet_id
    WHERE {scope} AND e.accounting_date >= %(starts_on)s AND (d.uncovered > 0 OR d.debt > 0)
    ORDER BY d.occurred_at, d.id
"""


def report(scope: ReportScope) -> Report:
    """Return each such capture of the span: what nobody pays, and what the next credits do.

    Neither is posted: a debt is once it is paid, in the entry of the credits that pay it.
    """
    return Report(
        name="uncovered",
        title="Served and not paid",
        scope=scope,
        columns=[
            text_column("customer_id", "Customer"),
            Column("occurred_at", "Captured at", ColumnKind.MOMENT),
            text_column("currency", "Currency"),
            amount_column("captured", "Captured"),
            amount_column("uncovered", "Uncovered"),
            amount_column("debt", "Owed by the next credits"),
            amount_column("forgiven", "Forgiven by a reversal"),
            text_column("reservation", "Reservation"),
            text_column("debit", "Debit"),
        ],
        rows=_rows(scope),
    )


def _rows(scope: ReportScope) -> Iterator[Row]:
    names = (
        "customer_id", "occurred_at", "reservation", "debit", "currency", "captured", "uncovered",
        "debt", "forgiven",
    )  # fmt: skip
    for found in sums.stream(_UNCOVERED, scope, currency="w.currency"):
        row = dict(zip(names, found, strict=True))
        yield {**row, "reservation": str(row["reservation"]), "debit": str(row["debit"])}
