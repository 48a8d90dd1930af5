"""Results of a backtest, added up in SQL: totals, months, winners and losers, the distribution."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import Count, DateTimeField, ExpressionWrapper, F, QuerySet, Sum, Value
from django.db.models.functions import TruncMonth

from aforo.money import ZERO, plain, proportion
from billing.models import Backtest, BacktestCycle

# A cycle belongs to the month of its last instant.
_LAST_INSTANT = ExpressionWrapper(
    F("ends_at") - Value(timedelta(microseconds=1)), output_field=DateTimeField()
)

# Changes in percent at which one group of customers ends and the next begins.
BOUNDS = (-50, -25, -10, 0, 10, 25, 50)
MOST = 10
COLUMNS = [
    "customer_id",
    "subscription",
    "starts_at",
    "ends_at",
    "paid",
    "priced",
    "delta",
    "error",
]

_DISTRIBUTION = """
    SELECT width_bucket(100 * (priced - paid) / paid, %s::numeric[]), count(*), sum(priced - paid)
    FROM (
        SELECT sum(paid) AS paid, sum(priced) AS priced FROM billing_backtestcycle
        WHERE backtest_id = %s AND priced IS NOT NULL GROUP BY book_id
    ) AS customer
    WHERE paid > 0 AND priced <> paid GROUP BY 1 ORDER BY 1
"""
_DECILES = """
    SELECT percentile_disc(ARRAY[0, .1, .2, .3, .4, .5, .6, .7, .8, .9, 1])
        WITHIN GROUP (ORDER BY delta)
    FROM (
        SELECT sum(priced - paid) AS delta FROM billing_backtestcycle
        WHERE backtest_id = %s AND priced IS NOT NULL GROUP BY book_id
    ) AS customer
"""


def cycles(backtest: Backtest) -> QuerySet[BacktestCycle]:
    """Return the rows, by customer and time."""
    rows = BacktestCycle.objects.filter(backtest=backtest)
    return rows.select_related("book", "settlement").order_by("pk")


def customers(backtest: Backtest) -> Any:
    """Return one row a customer: cycles, paid, priced, delta; a queryset of dictionaries."""
    rows = BacktestCycle.objects.filter(backtest=backtest, priced__isnull=False)
    return rows.values(customer_id=F("book__key")).annotate(
        cycle_count=Count("pk"),
        paid_total=Sum("paid"),
        priced_total=Sum("priced"),
        delta=Sum(F("priced") - F("paid")),
    )


def csv_lines(backtest: Backtest) -> Iterator[str]:
    """Return every row as a line of CSV, a thousand rows at a time from the database."""
    line = csv.writer(_Line())
    yield line.writerow(COLUMNS)
    for row in cycles(backtest).iterator(chunk_size=1_000):
        settlement = row.settlement
        yield line.writerow(
            [
                row.book.key,
                settlement.subscription_id,
                settlement.starts_at.isoformat(),
                settlement.ends_at.isoformat(),
                plain(row.paid),
                "" if row.priced is None else plain(row.priced),
                "" if row.priced is None else plain(row.priced - row.paid),
                row.error,
            ]
        )


class _Line:
    """A file whose `write` returns the line instead of storing it."""

    def write(self, text: str) -> str:
        """Return the text."""
        return text


def describe_cycle(row: BacktestCycle) -> dict[str, object]:
    """Return one row."""
    settlement = row.settlement
    return {
        "customer_id": row.book.key,
        "settlement": settlement.pk,
        "subscription": settlement.subscription_id,
        "period": {"starts_at": settlement.starts_at, "ends_at": settlement.ends_at},
        "paid": row.paid,
        "priced": row.priced,
        "delta": None if row.priced is None else row.priced - row.paid,
        "figures": row.figures,
        "error": row.error or None,
    }


def summarise(backtest: Backtest) -> dict[str, object]:
    """Return the sums of the rows; decimals as plain text."""
    rows = BacktestCycle.objects.filter(backtest=backtest)
    good = rows.filter(priced__isnull=False)
    whole = good.aggregate(
        cycles=Count("pk"), paid=Sum("paid", default=ZERO), priced=Sum("priced", default=ZERO)
    )
    by_customer = customers(backtest)
    months = good.annotate(month=TruncMonth(_LAST_INSTANT)).values("month")
    return {
        "customers": by_customer.count(),
        "failed": rows.filter(priced=None).count(),
        **_compared(whole),
        "winners": by_customer.filter(delta__lt=0).count(),
        "losers": by_customer.filter(delta__gt=0).count(),
        "unchanged": by_customer.filter(delta=0).count(),
        "months": [
            {"month": f"{month['month']:%Y-%m}", **_compared(month)}
            for month in months.annotate(
                cycles=Count("pk"), paid=Sum("paid"), priced=Sum("priced")
            ).order_by("month")
        ],
        "most_saved": _shown(by_customer.filter(delta__lt=0).order_by("delta", "book__key")),
        "most_added": _shown(by_customer.filter(delta__gt=0).order_by("-delta", "book__key")),
        "distribution": _distribution(backtest),
        "deciles": _deciles(backtest),
    }


def _compared(sums: Mapping[str, Any]) -> dict[str, object]:
    """Return both sides of the sums and their difference, also in percent."""
    paid, priced = Decimal(sums["paid"]), Decimal(sums["priced"])
    percent = None if paid == 0 else plain(proportion(priced - paid, Decimal(100), paid))
    return {
        "cycles": sums["cycles"],
        "paid": plain(paid),
        "priced": plain(priced),
        "delta": plain(priced - paid),
        "percent": percent,
    }


def _shown(found: Any) -> list[dict[str, object]]:
    return [
        {
            "customer_id": row["customer_id"],
            "cycles": row["cycle_count"],
            "paid": plain(row["paid_total"]),
            "priced": plain(row["priced_total"]),
            "delta": plain(row["delta"]),
        }
        for row in found[:MOST]
    ]


def _distribution(backtest: Backtest) -> list[dict[str, object]]:
    """Return the number of customers by the change of their total, in percent.

    `under` and `from` of None mean without end. Customers who paid nothing have no percentage.
    """
    with connection.cursor() as cursor:
        cursor.execute(_DISTRIBUTION, [[Decimal(bound) for bound in BOUNDS], backtest.pk])
        counted = {number: (count, delta) for number, count, delta in cursor.fetchall()}
    edges = [None, *BOUNDS, None]
    return [
        {
            "from": edges[number],
            "under": edges[number + 1],
            "customers": counted.get(number, (0, ZERO))[0],
            "delta": plain(counted.get(number, (0, ZERO))[1]),
        }
        for number in range(len(BOUNDS) + 1)
    ]


def _deciles(backtest: Backtest) -> list[str]:
    """Return the smallest difference of a customer, the nine deciles, and the largest."""
    with connection.cursor() as cursor:
        cursor.execute(_DECILES, [backtest.pk])
        (found,) = cursor.fetchone()
    return [plain(delta) for delta in found or []]
