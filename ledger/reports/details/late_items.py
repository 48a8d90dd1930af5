"""Late and prior-period items: what happened in another month than the one it was posted in.

An entry that was posted in another month than its own is one; so is what a settlement takes for
usage of a cycle that was settled before it arrived, which is a part of a later cycle's entry, and
the reversal of a debit of an earlier month, which is posted when it is made.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings

from ledger.models import LedgerEvent
from ledger.reports.details.postings import posting_columns, posting_row
from ledger.reports.report_table import Report, ReportScope, Row
from ledger.reports.totals import sums

# What happens exactly on a month's end belongs to the month before (docs/decisions.md#d21), so the
# month that an entry would have had is that of the instant before it, or its own.
_LATE = """
    SELECT e.id, b.key, e.sequence, e.event, e.occurred_at, e.recorded_at, e.accounting_date,
        p.debit_id, p.credit_id, p.amount, p.currency
    FROM ledger_entry e
    JOIN ledger_book b ON b.id = e.book_id
    LEFT JOIN ledger_posting p ON p.entry_id = e.id
    WHERE {scope}
        AND e.accounting_date >= %(starts_on)s
        AND date_trunc('month', e.accounting_date::timestamp) NOT IN (
            date_trunc('month', e.occurred_at AT TIME ZONE %(zone)s),
            date_trunc('month', (e.occurred_at - interval '1 microsecond') AT TIME ZONE %(zone)s)
        )
    ORDER BY e.recorded_at, e.id, p.position
"""
_LATE_USAGE = """
    SELECT e.id, b.key, e.sequence, e.event, (late.item->>'until')::timestamptz, e.recorded_at,
        e.accounting_date, '', '', (late.item->>'net')::numeric, late.item->>'currency'
    FROM ledger_entry e
    JOIN ledger_book b ON b.id = e.book_id
    CROSS JOIN jsonb_array_elements(e.document->'late') WITH ORDINALITY AS late (item, number)
    WHERE {scope}
        AND e.accounting_date >= %(starts_on)s AND e.event IN ('SETTLEMENT', 'ADJUSTMENT')
    ORDER BY e.recorded_at, e.id, late.number
"""
_REVERSED = """
    SELECT e.id, b.key, e.sequence, e.event, original.occurred_at, e.recorded_at,
        e.accounting_date, p.debit_id, p.credit_id, p.amount, p.currency
    FROM ledger_entry e
    JOIN ledger_book b ON b.id = e.book_id
    JOIN ledger_entry original ON original.id = (e.document->>'reverses')::uuid
    LEFT JOIN ledger_posting p ON p.entry_id = e.id
    WHERE {scope}
        AND e.accounting_date >= %(starts_on)s AND e.event = 'REVERSAL'
        AND date_trunc('month', original.accounting_date::timestamp)
            < date_trunc('month', e.accounting_date::timestamp)
    ORDER BY e.recorded_at, e.id, p.position
"""


def report(scope: ReportScope) -> Report:
    """Report, for each such item, when it happened, when it was recorded and where it was posted:
    of late usage, the end of its cycle, and the net that a later one took for it; of a reversal,
    the moment of what it reverses.

    They explain the differences between a month's activity and its books.
    """
    return Report(
        name="late-items",
        title="Late and prior-period items",
        scope=scope,
        columns=posting_columns(),
        rows=_rows(scope),
    )


def _rows(scope: ReportScope) -> Iterator[Row]:
    yield from _entries(scope)
    yield from _late_usage(scope)
    yield from _reversals(scope)


def _entries(scope: ReportScope) -> Iterator[Row]:
    for found in sums.stream(_LATE, scope, {"zone": settings.ENTITY_TIMEZONE}):
        row = posting_row(found, event=LedgerEvent(found[3]).label)
        # An entry without postings moved units alone.
        yield row if row["currency"] is not None else {**row, "currency": ""}


def _late_usage(scope: ReportScope) -> Iterator[Row]:
    for found in sums.stream(_LATE_USAGE, scope, currency="late.item->>'currency'"):
        yield posting_row(found, event="Late usage settled")


def _reversals(scope: ReportScope) -> Iterator[Row]:
    for found in sums.stream(_REVERSED, scope):
        row = posting_row(found, event="Reversal of an earlier month")
        yield row if row["currency"] is not None else {**row, "currency": ""}
