"""Reconciliation in three ways.

Units: the rest of each lot is the sum of its movements. Carrying: what lots carry is the balance of
the liability accounts. GL: what the files say is what was posted, but for rounding. A difference is
shown and named, never plugged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

from aforo.money import ZERO
from ledger.exports import files_and_books
from ledger.exports.journals import CLEARING
from ledger.models import ExportFormat
from ledger.posting_rules.parts import LOT_LIABILITIES
from ledger.reports.report_table import (
    Column,
    ColumnKind,
    Drill,
    Report,
    ReportScope,
    Row,
    text_column,
)
from ledger.reports.totals import sums, trial_balance
from wallets.reports import lots

# The counters on the lots have no history: they are brought back by the movements that are not of
# the scope.
_UNITS = """
    SELECT lot.kind, coalesce(metric.code, nullif(lot.credit_unit, ''), lot.currency) AS unit,
        sum(lot.remaining - coalesce(moved.since, 0)), coalesce(sum(moved.left), 0)
    FROM wallets_creditlot lot
    JOIN ledger_book b ON b.id = lot.book_id AND b.livemode = %(livemode)s
    LEFT JOIN wallets_unitwallet held ON held.id = lot.unit_wallet_id
    LEFT JOIN pricing_metric metric ON metric.id = held.metric_id
    LEFT JOIN (
        SELECT m.lot_id, sum(m.quantity * side.sign) FILTER (WHERE {scope}) AS left,
            sum(m.quantity * side.sign) FILTER (WHERE NOT ({scope})) AS since
        FROM wallets_movement m JOIN {signs} ON side.kind = m.kind
        JOIN wallets_creditlot lot ON lot.id = m.lot_id
        JOIN ledger_entry e ON e.id = m.entry_id
        JOIN ledger_book b ON b.id = e.book_id
        GROUP BY m.lot_id
    ) moved ON moved.lot_id = lot.id
    WHERE (%(customer_id)s::text IS NULL OR b.key = %(customer_id)s)
        AND (%(currency)s::text IS NULL OR lot.currency = %(currency)s)
        AND (moved.left IS NOT NULL OR lot.remaining <> coalesce(moved.since, 0))
    GROUP BY 1, 2 ORDER BY 1, 2
""".replace("{signs}", lots.SIGNS)


def report(scope: ReportScope) -> Report:
    """Return each check with both sides, their difference and what it means."""
    return Report(
        name="reconciliation",
        title="Reconciliation, three ways",
        scope=scope,
        columns=[
            text_column("check", "Check"),
            text_column("status", "Status"),
            text_column("subject", "Of"),
            text_column("currency", "Unit"),
            text_column("one", "One side"),
            Column("expected", "Says", ColumnKind.QUANTITY),
            text_column("other", "Other side"),
            Column("found", "Says", ColumnKind.QUANTITY, drill=_drill(scope)),
            Column("difference", "Difference", ColumnKind.QUANTITY, kept=True),
            Column("rounding", "of it rounding", ColumnKind.QUANTITY),
        ],
        rows=_rows(scope),
        notes=[
            "Units and carrying are compared at the end of the span, exports of the span.",
            "Of exports the files' own sums are compared, before they are translated.",
        ],
    )


def _drill(scope: ReportScope) -> Callable[[Row], Drill | None]:
    def drill(row: Row) -> Drill | None:
        if row["check"] == "units" or not str(row["subject"])[0].isdigit():
            return None
        return {
            **(scope.until_end if row["check"] == "carrying" else scope.span),
            "account": str(row["subject"]).split()[0],
            "currency": str(row["currency"]),
        }

    return drill


def _rows(scope: ReportScope) -> Iterator[Row]:
    yield from _units(scope)
    yield from _carrying(scope)
    if scope.customer_id is None:
        yield from _exported(scope)


def _row(
    check: str, subject: str, currency: str, **sides: str | Decimal
) -> dict[str, str | Decimal]:
    expected, found = sides["expected"], sides["found"]
    assert isinstance(expected, Decimal), "both sides are figures"
    assert isinstance(found, Decimal), "both sides are figures"
    difference = expected - found
    status = "agrees" if difference == 0 else "differs"
    return {
        "check": check,
        "subject": subject,
        "currency": currency,
        **sides,
        "difference": difference,
        "status": status,
        "rounding": ZERO,
    }


def _units(scope: ReportScope) -> Iterator[Row]:
    for kind, unit, remaining, moved in sums.fetch(_UNITS, scope, currency="lot.currency"):
        yield _row(
            "units", f"{kind} credits", unit,
            one="movements", expected=moved, other="lots", found=remaining,
        )  # fmt: skip


def _carrying(scope: ReportScope) -> Iterator[Row]:
    carried = lots.carried(scope)
    names = trial_balance.chart()
    closings = {
        (str(row["account"]), str(row["currency"])): row["closing"]
        for row in trial_balance.report(scope).rows
        if row["account"] in LOT_LIABILITIES
    }
    for account, currency in sorted({*closings, *carried}):
        closing = closings.get((account, currency), ZERO)
        yield _row(
            "carrying", f"{account} {names[account].name}", currency,
            one="lots carry", expected=carried.get((account, currency), ZERO),
            other="account", found=closing if isinstance(closing, Decimal) else ZERO,
        )  # fmt: skip


def _exported(scope: ReportScope) -> Iterator[Row]:
    """Compare what the files of each format say with the turnover of the same months."""
    names = trial_balance.chart()
    for each in files_and_books.compare(scope):
        if each.account == CLEARING:
            subject = "Receivables and cash, net"
        else:
            subject = f"{each.account} {trial_balance.account_of(names, each.account).name}"
        yield {
            **_row(
                "GL", subject, each.currency,
                one=f"exported, {ExportFormat(each.form).label}", expected=each.files,
                other="posted, debit less credit", found=each.books,
            ),
            "status": each.status,
            "rounding": each.rounding,
        }  # fmt: skip
