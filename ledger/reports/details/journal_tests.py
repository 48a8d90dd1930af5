"""Journal-entry tests: the postings that auditors look at first, out of the whole population.

The tests for override of controls (AS 2401): by hand, recorded long after its month, a round
amount or a thin reason by hand, a pair of accounts that hardly ever occurs.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings

from ledger.models import LedgerEvent
from ledger.reports.details.postings import posting_columns, posting_row
from ledger.reports.report_table import Report, ReportScope, Row, text_column
from ledger.reports.totals import sums

SELDOM = 3
# A month is closed within days of its end; what is recorded into it later deserves a look.
DAYS_TO_CLOSE = 10
ROUND = 1000
THIN = 10
BY_HAND = [
    LedgerEvent.MANUAL.value,
    LedgerEvent.ADJUSTMENT.value,
    LedgerEvent.OPENING_BALANCE.value,
]

_RISKY = """
    WITH pair AS (
        SELECT p.debit_id, p.credit_id, count(*) AS times
        FROM {postings} WHERE {scope} AND e.accounting_date >= %(starts_on)s
        GROUP BY p.debit_id, p.credit_id
    ), tested AS (
        SELECT e.id, b.key, e.sequence, e.event, e.occurred_at, e.recorded_at, e.accounting_date,
            e.document, e.actor_kind || ':' || e.actor_id AS actor, p.position,
            p.debit_id, p.credit_id, p.amount, p.currency, pair.times,
            e.event = ANY(%(by_hand)s) AS by_hand,
            (e.recorded_at AT TIME ZONE %(zone)s)::date >= (
                date_trunc('month', e.accounting_date::timestamp) + interval '1 month'
            )::date + %(days)s AS late
        FROM {postings} JOIN pair ON pair.debit_id = p.debit_id AND pair.credit_id = p.credit_id
        WHERE {scope} AND e.accounting_date >= %(starts_on)s
    )
    SELECT id, key, sequence, event, occurred_at, recorded_at, accounting_date, debit_id, credit_id,
        amount, currency, by_hand, late, by_hand AND mod(amount, %(round)s) = 0,
        by_hand
            AND length(trim(coalesce(document->>'evidence', document->>'reason', ''))) < %(thin)s,
        times <= %(seldom)s, actor
    FROM tested
    WHERE by_hand OR late OR times <= %(seldom)s
    ORDER BY recorded_at, id, position
"""
_TERMS = (
    f"Late: {DAYS_TO_CLOSE} days after the month or more. Seldom: a pair of accounts that occurs"
    f" {SELDOM} times or less. Round: by hand, in whole {ROUND:,}s. Thin: by hand, with less than"
    f" {THIN} characters of reason."
)
_WHY = ("by hand", "recorded late", "round", "thin reason", "seldom pair")


def report(scope: ReportScope) -> Report:
    """Report each posting that a test picks, with the tests that do."""
    return Report(
        name="journal-tests",
        title="Journal-entry tests",
        scope=scope,
        columns=posting_columns(
            text_column("why", "Picked because"), text_column("actor", "Done by")
        ),
        rows=_rows(scope),
        notes=["The population is journal-detail of the same span.", _TERMS],
    )


def _rows(scope: ReportScope) -> Iterator[Row]:
    asked = {
        "zone": settings.ENTITY_TIMEZONE,
        "by_hand": BY_HAND,
        "days": DAYS_TO_CLOSE,
        "round": ROUND,
        "thin": THIN,
        "seldom": SELDOM,
    }
    for found in sums.stream(_RISKY, scope, asked):
        why = ", ".join(why for why, picked in zip(_WHY, found[11:-1], strict=True) if picked)
        yield posting_row(found[:11], event=LedgerEvent(found[3]).label, why=why, actor=found[-1])
