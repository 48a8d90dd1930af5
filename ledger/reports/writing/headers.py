"""A report's header as facts, in the order in which a reader wants them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from aforo import money
from ledger.reports.report_table import Header


def header_facts(header: Header) -> dict[str, Any]:
    """Write a header with plain values only; dates are both inclusive."""
    scope, covered = header.scope, header.covered
    return {
        "report": header.name,
        "title": header.title,
        "entity": header.entity,
        "mode": "live" if scope.livemode else "sandbox",
        "from": None if scope.starts_on == date.min else scope.starts_on.isoformat(),
        "to": None if scope.ends_on == date.max else last_day(scope.ends_on),
        "recorded_until": _moment(scope.recorded_until),
        "currency": scope.currency,
        "customer_id": scope.customer_id,
        "run_at": _moment(header.run_at),
        "entries": covered.entries,
        "first_recorded_at": _moment(covered.first_recorded_at),
        "last_recorded_at": _moment(covered.last_recorded_at),
        "first_sequence": covered.first_sequence,
        "last_sequence": covered.last_sequence,
        "rows": header.rows,
        "totals": {
            currency: {
                name: money.amount_text(value, currency)
                if currency in money.EXPONENTS
                else money.plain(value)
                for name, value in sums.items()
            }
            for currency, sums in sorted(header.totals.items())
        },
        "sha256": header.sha256,
        "notes": list(header.notes),
    }


def last_day(ends_on: date) -> str:
    """Write the last day of a span that ends before `ends_on`."""
    return date.fromordinal(ends_on.toordinal() - 1).isoformat()


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()
