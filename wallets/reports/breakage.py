"""Breakage by cohort: how much of a month's sales was used, refunded, and lapsed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

from django.conf import settings

from aforo import money
from ledger.reports.report_table import (
    Column,
    ColumnKind,
    Report,
    ReportScope,
    Row,
    amount_column,
    text_column,
)
from wallets.lots import expected_breakage
from wallets.lots.expected_breakage import Estimate
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


def report(scope: ReportScope) -> Report:
    """Return each month's sales of credits by kind, up to the end of the span.

    Beside their use stands the estimate in force at the end of the span, with its amount on 2190,
    and, once nothing is outstanding, its error.
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
            Column("lapse_percent", "Lapsed, % of sold", ColumnKind.QUANTITY),
            Column("expected_percent", "Expected unused, %", ColumnKind.QUANTITY),
            amount_column("accrued", "Expected breakage (2190)"),
            Column("back_test", "Actual less expected, % points", ColumnKind.QUANTITY),
        ],
        rows=_rows(scope),
        notes=[
            "Amounts are consideration carried, not face; lots that hold none are left out.",
            "Percentages are of what was sold and not refunded.",
        ],
    )


def _rows(scope: ReportScope) -> Iterator[Row]:
    found = lots.fetch(_COHORTS, scope, {"zone": settings.ENTITY_TIMEZONE})
    estimates = _estimates(scope)
    for cohort, kind, currency, *amounts in found:
        sold, redeemed, refunded, lapsed, in_span = (amount or money.ZERO for amount in amounts)
        kept, outstanding = sold - refunded, sold - redeemed - refunded - lapsed
        percent = money.proportion(Decimal(100), lapsed, kept) if kept else None
        estimate = estimates.get((cohort, kind, currency))
        expected = None if estimate is None else estimate.percent
        yield {
            "cohort": cohort,
            "kind": kind,
            "currency": currency,
            "sold": sold,
            "redeemed": redeemed,
            "refunded": refunded,
            "lapsed": lapsed,
            "lapsed_in_span": in_span,
            "outstanding": outstanding,
            "lapse_percent": percent,
            "expected_percent": expected,
            "accrued": None if estimate is None else estimate.accrued,
            "back_test": _difference(percent, expected) if outstanding == 0 else None,
        }


def _estimates(scope: ReportScope) -> dict[tuple[str, str, str], Estimate]:
    """Read the estimates of whole cohorts; a customer has none of its own."""
    if scope.customer_id is not None:
        return {}
    until = scope.ends_on - timedelta(days=1)
    found = expected_breakage.estimate_breakage(livemode=scope.livemode, until=until)
    return {(f"{each.key.sold_on:%Y-%m}", each.key.kind, each.key.currency): each for each in found}


def _difference(percent: Decimal | None, expected: Decimal | None) -> Decimal | None:
    return None if percent is None or expected is None else percent - expected
