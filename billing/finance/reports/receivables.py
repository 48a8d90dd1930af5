"""Open invoices by how long they are overdue; the total is account 1100."""

from __future__ import annotations

from collections.abc import Iterator

from aforo.money import ZERO
from billing.finance import open_invoices
from billing.finance.open_invoices import AGES
from ledger.posting_rules import RECEIVABLE
from ledger.reports.report_table import (
    Column,
    ColumnKind,
    Report,
    ReportScope,
    Row,
    amount_column,
    text_column,
)


def report(scope: ReportScope) -> Report:
    """Return each open invoice at the end of the span in the bucket of its days overdue."""

    def drill(row: Row) -> dict[str, str]:
        return {
            **scope.until_end,
            "account": RECEIVABLE,
            "customer_id": str(row["customer_id"]),
            "currency": str(row["currency"]),
            "invoice": str(row["invoice"]),
        }

    return Report(
        name="receivables-ageing",
        title="Receivables by age",
        scope=scope,
        columns=[
            text_column("customer_id", "Customer"),
            text_column("invoice", "Invoice"),
            Column("issued_at", "Issued", ColumnKind.MOMENT),
            Column("due_at", "Due", ColumnKind.MOMENT),
            text_column("currency", "Currency"),
            amount_column("open", "Open", drill),
            *(amount_column(name, title) for name, title in AGES.items()),
        ],
        rows=_rows(scope),
    )


def _rows(scope: ReportScope) -> Iterator[Row]:
    for each in open_invoices.read(scope):
        yield {
            **dict.fromkeys(AGES, ZERO),
            "customer_id": each.customer,
            "invoice": each.number,
            "issued_at": each.issued_at,
            "due_at": each.due_at,
            "currency": each.currency,
            "open": each.owed,
            each.age: each.owed,
        }
