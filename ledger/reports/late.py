"""Late and prior-period items: what happened in another month than the one it was posted in.

An entry that was posted in another month than its own is one; so is what a settlement takes for
usage of a cycle that was settled before it arrived, which is a part of a later cycle's entry.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings

from ledger.models import Event
from ledger.reports import sums
from ledger.reports.shape import Column, Kind, Report, Row, Scope, amount_column, text_column

# What happens exactly on a month's end belongs to the month before (DECISIONS 21), so the month
# that an entry would have had is that of the instant before it, or its own.
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
    SELECT e.id, b.key, e.sequence, e.recorded_at, e.accounting_date,
        (late.item->>'until')::timestamptz, (late.item->>'net')::numeric,
        late.item->>'currency'
    FROM ledger_entry e
    JOIN ledger_book b ON b.id = e.book_id
    CROSS JOIN jsonb_array_elements(e.document->'late') WITH ORDINALITY AS late (item, number)
    WHERE {scope}
        AND e.accounting_date >= %(starts_on)s AND e.event = 'SETTLEMENT'
    ORDER BY e.recorded_at, e.id, late.number
"""


def report(scope: Scope) -> Report:
    """Show, for each such item, when it happened, when it was recorded and where it was posted: of
    late usage, the end of its cycle, and the net that a later one took for it.

    They explain the differences between a month's activity and its books.
    """
    return Report(
        name="late-items",
        title="Late and prior-period items",
        scope=scope,
        columns=[
            text_column("entry", "Entry"),
            text_column("customer_id", "Customer"),
            Column("sequence", "Sequence", Kind.COUNT),
            text_column("event", "Event"),
            Column("occurred_at", "Happened", Kind.MOMENT),
            Column("recorded_at", "Recorded", Kind.MOMENT),
            Column("accounting_date", "Posted on", Kind.DATE),
            text_column("debit", "Debit"),
            text_column("credit", "Credit"),
            text_column("currency", "Currency"),
            amount_column("amount", "Amount", lambda row: {"entry": str(row["entry"])}),
        ],
        rows=_rows(scope),
    )


def _rows(scope: Scope) -> Iterator[Row]:
    yield from _entries(scope)
    yield from _late_usage(scope)


def _entries(scope: Scope) -> Iterator[Row]:
    found = sums.stream(_LATE, scope, {"zone": settings.ENTITY_TIMEZONE})
    for entry, key, sequence, event, occurred, recorded, day, debit, credit, amount, unit in found:
        yield {
            "entry": str(entry),
            "customer_id": key,
            "sequence": sequence,
            "event": Event(event).label,
            "occurred_at": occurred,
            "recorded_at": recorded,
            "accounting_date": day,
            "debit": debit,
            "credit": credit,
            "currency": unit or "",
            "amount": amount,
        }


def _late_usage(scope: Scope) -> Iterator[Row]:
    found = sums.stream(_LATE_USAGE, scope, currency="late.item->>'currency'")
    for entry, key, sequence, recorded, day, until, net, currency in found:
        yield {
            "entry": str(entry),
            "customer_id": key,
            "sequence": sequence,
            "event": "Late usage settled",
            "occurred_at": until,
            "recorded_at": recorded,
            "accounting_date": day,
            "debit": "",
            "credit": "",
            "currency": currency,
            "amount": net,
        }
