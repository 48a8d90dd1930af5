"""Breakage by cohort: of what was sold in a month, how much was used, refunded, and lapsed."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from django.conf import settings

from aforo import money
from ledger.reports.shape import Column, Kind, Report, Row, Scope, amount_column, text_column
from wallets.reports import lots

_COHORTS = """
    SELECT to_char(lot.granted_at AT TIME ZONE %(zone)s, 'YYYY-MM') AS cohort, lot.kind,
        lot.currency,
        sum(m.carrying) FILTER (WHERE m.kind = 'GRANT'),
        -sum(m.carrying * side.sign) FILTER (WHERE m.kind IN ('BURN', 'REVERSE')),
        -sum(m.carrying * side.sign) FILTER (WHERE m.kind IN ('REFUND', 'ADJUST')),
        sum(m.carrying) FILTER (WHERE m.kind = 'EXPIRE'),
        sum(m.carrying) FILTER (WHERE m.kind = 'EXPIRE' AND e.accounting_date >= %(starts_on)s)
    FROM {movements}
    WHERE {scope} AND lot.carrying > 0
    GROUP BY 1, 2, 3
    ORDER BY 1, 2, 3
"""


def report(scope: Scope) -> Report:
    """Show each month's sales of credits by kind, up to the end of the span.

    The rate is what lapsed of what can no longer change hands: used, refunded and lapsed.
    """
    return Report(
        name="breakage",
        title="Breakage by month of sale",
        scope=scope,
        columns=[
            text_column("cohort", "Sold in"),
            text_column("kind", "Kind"),
            text_column("currency", "Currency"),
            amount_column("sold", "Sold"),
            amount_column("redeemed", "Used"),
            amount_column("refunded", "Refunded"),
            amount_column("lapsed", "Lapsed"),
            amount_column("lapsed_in_span", "Lapsed in the span"),
            amount_column("outstanding", "Outstanding"),
            Column("lapse_percent", "Lapsed, % of sold", Kind.QUANTITY),
        ],
        rows=_rows(scope),
        notes=["Amounts are consideration carried, not face; lots that hold none are left out."],
    )


def _rows(scope: Scope) -> Iterator[Row]:
    found = lots.fetch(_COHORTS, scope, {"zone": settings.ENTITY_TIMEZONE})
    for cohort, kind, currency, *amounts in found:
        sold, redeemed, refunded, lapsed, in_span = (amount or money.ZERO for amount in amounts)
        yield {
            "cohort": cohort,
            "kind": kind,
            "currency": currency,
            "sold": sold,
            "redeemed": redeemed,
            "refunded": refunded,
            "lapsed": lapsed,
            "lapsed_in_span": in_span,
            "outstanding": sold - redeemed - refunded - lapsed,
            "lapse_percent": money.proportion(Decimal(100), lapsed, sold) if sold else None,
        }
