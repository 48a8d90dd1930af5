"""The wallets' liability, lot by lot, by age and by days to expiry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.conf import settings

from aforo.money import ZERO
from ledger import posting_rules
from ledger.reports.report_table import (
    Column,
    ColumnKind,
    Drill,
    Report,
    ReportScope,
    Row,
    amount_column,
    text_column,
)
from ledger.reports.totals import contract_liability, sums
from wallets.reports import lots

# The last day that a bucket takes; beyond them "later".
AGES = (30, 90, 180, 365)
EXPIRIES = (30, 90, 365)

_LOTS = """
    SELECT lot.id, b.key, lot.kind, lot.source, lot.currency,
        coalesce(metric.code, lot.credit_unit), lot.granted_at,
        lot.expires_at, max(e.occurred_at), lot.face, sum(m.quantity * side.sign),
        sum(m.carrying * side.sign)
    FROM {movements}
    LEFT JOIN wallets_unitwallet unit ON unit.id = lot.unit_wallet_id
    LEFT JOIN pricing_metric metric ON metric.id = unit.metric_id
    WHERE {scope}
    GROUP BY lot.id, b.key, metric.code
    HAVING sum(m.quantity * side.sign) > 0
    ORDER BY b.key, lot.granted_at, lot.id
"""
_FEES = """
    SELECT b.key, p.currency, sum(side.amount)
    FROM {postings} {sides}
    WHERE {scope} AND side.account = %(fees)s
    GROUP BY b.key, p.currency HAVING sum(side.amount) <> 0
    ORDER BY b.key, p.currency
"""


def report(scope: ReportScope) -> Report:
    """Return the rest of every lot at the end of the span, and plan fees not yet earned.

    The total of what is carried is the balance of accounts 2100, 2110, 2120 and 2130.
    """
    return Report(
        name="wallet-ageing",
        title="Wallet liability by age and expiry",
        scope=scope,
        columns=[
            text_column("account", "Account"),
            text_column("kind", "Kind"),
            text_column("customer_id", "Customer"),
            text_column("currency", "Currency"),
            text_column("metric", "Units of"),
            Column("granted_at", "Granted", ColumnKind.MOMENT),
            Column("expires_at", "Expires", ColumnKind.MOMENT),
            Column("last_activity_at", "Last activity", ColumnKind.MOMENT),
            Column("face", "Granted credits", ColumnKind.QUANTITY),
            Column("remaining", "Credits left", ColumnKind.QUANTITY),
            amount_column("carrying", "Carried", _drill(scope), kept=True),
            *_buckets("age", "Age", AGES, "days"),
            *_buckets("expires", "Expires in", EXPIRIES, "days"),
            amount_column("expires_never", "Never expires"),
            text_column("source", "Source"),
            text_column("lot", "Lot"),
        ],
        rows=_rows(scope),
        notes=["Held credits are part of what is left."],
    )


def _drill(scope: ReportScope) -> Callable[[Row], Drill]:
    def drill(row: Row) -> dict[str, str]:
        found = {**scope.until_end, "account": str(row["account"])}
        if row["lot"]:
            return found | {"lot": str(row["lot"])}
        return found | {"customer_id": str(row["customer_id"]), "currency": str(row["currency"])}

    return drill


def _names(prefix: str, bounds: Sequence[int]) -> list[str]:
    return [f"{prefix}_{bound}" for bound in bounds] + [f"{prefix}_later"]


def _buckets(prefix: str, title: str, bounds: Sequence[int], unit: str) -> list[Column]:
    lower = [0, *(bound + 1 for bound in bounds)]
    titles = [f"{title} {low}-{high} {unit}" for low, high in zip(lower, bounds, strict=False)]
    titles.append(f"{title} over {bounds[-1]} {unit}")
    return [
        amount_column(name, shown)
        for name, shown in zip(_names(prefix, bounds), titles, strict=True)
    ]


def bucket(days: int, prefix: str, bounds: Sequence[int]) -> str:
    """Return the bucket that so many days fall into; what is overdue falls into the first."""
    return next(
        (f"{prefix}_{bound}" for bound in bounds if days <= bound),
        f"{prefix}_later",
    )


def _rows(scope: ReportScope) -> Iterator[Row]:
    as_of = scope.ends_on - timedelta(days=1)
    for found in lots.stream(_LOTS, scope):
        lot, key, kind, source, currency, metric, granted, expires, last, face, left, held = found
        account = posting_rules.liability(kind=kind, source=source)
        age = bucket((as_of - _day(granted)).days, "age", AGES)
        expiry = (
            "expires_never"
            if expires is None
            else bucket((_day(expires) - as_of).days, "expires", EXPIRIES)
        )
        yield {
            **_nothing(),
            "account": account,
            "kind": kind,
            "customer_id": key,
            "currency": currency,
            "metric": metric or "",
            "lot": str(lot),
            "source": source,
            "granted_at": granted,
            "expires_at": expires,
            "last_activity_at": last,
            "face": face,
            "remaining": left,
            "carrying": held,
            age: held,
            expiry: held,
        }
    for key, currency, owed in sums.stream(_FEES, scope, {"fees": posting_rules.PLAN_FEES}):
        yield {
            **_nothing(),
            "account": posting_rules.PLAN_FEES,
            "kind": contract_liability.ACCOUNTS[posting_rules.PLAN_FEES],
            "customer_id": key,
            "currency": currency,
            "lot": "",
            "carrying": owed,
        }


def _nothing() -> dict[str, Decimal]:
    names = [*_names("age", AGES), *_names("expires", EXPIRIES), "expires_never"]
    return dict.fromkeys(names, ZERO)


def _day(moment: datetime) -> date:
    return moment.astimezone(ZoneInfo(settings.ENTITY_TIMEZONE)).date()
