"""What is open of each invoice on a past day, and how long it is overdue then; the sum is account
1100.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.conf import settings

from ledger.posting_rules import RECEIVABLE
from ledger.reports.report_table import ReportScope
from ledger.reports.totals import sums

AGES = {
    "current": "Not due", "overdue_30": "1-30 days", "overdue_60": "31-60 days",
    "overdue_90": "61-90 days", "overdue_later": "Over 90 days",
}  # fmt: skip

# From the journal, so that past days can be reported, and amounts without an invoice appear.
_OWED = """
    SELECT b.id, b.key, coalesce(e.document->>'invoice', ''), p.currency, invoice.issued_at,
        invoice.due_at, -sum(side.amount)
    FROM {postings} {sides}
    LEFT JOIN billing_invoice invoice
        ON invoice.livemode = b.livemode AND invoice.number = e.document->>'invoice'
    WHERE {scope} AND side.account = %(receivable)s
    GROUP BY 1, 2, 3, 4, 5, 6 HAVING sum(side.amount) <> 0
    ORDER BY 2, 3, 4
"""


@dataclass(frozen=True, slots=True)
class OpenInvoice:
    """What is owed for an invoice at the end of a span, and its age then."""

    book_id: int
    customer: str
    number: str
    currency: str
    issued_at: datetime | None
    due_at: datetime | None
    owed: Decimal
    age: str


def read(scope: ReportScope) -> Iterator[OpenInvoice]:
    """Read what is open at the end of a span, by customer; inside a transaction."""
    as_of = scope.ends_on - timedelta(days=1)
    for book, customer, number, currency, issued, due, owed in sums.stream(
        _OWED, scope, {"receivable": RECEIVABLE}
    ):
        age = age_of(due, as_of)
        yield OpenInvoice(book, customer, number, currency, issued, due, owed, age)


def age_of(due: datetime | None, as_of: date) -> str:
    """Return the bucket of a due date on a day; without one nothing is due."""
    if due is None:
        return "current"
    overdue = (as_of - due.astimezone(ZoneInfo(settings.ENTITY_TIMEZONE)).date()).days
    for name, last in zip(AGES, (0, 30, 60, 90), strict=False):
        if overdue <= last:
            return name
    return "overdue_later"
