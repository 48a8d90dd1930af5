"""Open invoices by how long they are overdue; the total is account 1100."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings

from aforo.money import ZERO
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
from ledger.reports.totals import sums

BUCKETS = {
    "current": "Not due", "overdue_30": "1-30 days", "overdue_60": "31-60 days",
    "overdue_90": "61-90 days", "overdue_later": "Over 90 days",
}  # fmt: skip

# From the journal, so that past days can be reported, and amounts without an invoice appear.
_OWED = """
    SELECT b.key, coalesce(e.document->>'invoice', ''), p.currency, invoice.issued_at,
        invoice.due_at, -sum(side.amount)
    FROM {postings} {sides}
    LEFT JOIN billing_invoice invoice
        ON invoice.livemode = b.livemode AND invoice.number = e.document->>'invoice'
    WHERE {scope} AND side.account = %(receivable)s
    GROUP BY 1, 2, 3, 4, 5 HAVING sum(side.amount) <> 0
    ORDER BY 1, 2, 3
"""


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
            *(amount_column(name, title) for name, title in BUCKETS.items()),
        ],
        rows=_rows(scope),
    )


def _rows(scope: ReportScope) -> Iterator[Row]:
    as_of = scope.ends_on - timedelta(days=1)
    for customer, invoice, currency, issued, due, owed in sums.stream(
        _OWED, scope, {"receivable": RECEIVABLE}
    ):
        yield {
            **dict.fromkeys(BUCKETS, ZERO),
            "customer_id": customer,
            "invoice": invoice,
            "issued_at": issued,
            "due_at": due,
            "currency": currency,
            "open": owed,
            _bucket(due, as_of): owed,
        }


def _bucket(due: datetime | None, as_of: date) -> str:
    """Return the bucket of a due date; without one nothing is due."""
    if due is None:
        return "current"
    overdue = (as_of - due.astimezone(ZoneInfo(settings.ENTITY_TIMEZONE)).date()).days
    for name, last in zip(BUCKETS, (0, 30, 60, 90), strict=False):
        if overdue <= last:
            return name
    return "overdue_later"
