"""Reconciliation in three ways.

Units: the rest of each lot is the sum of its movements. Carrying: what lots carry is the balance of
the liability accounts. GL: what was exported is what was posted. A difference is shown and named,
never plugged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from decimal import Decimal

from aforo.money import ZERO
from ledger.models import ExportBatch, ExportFormat
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
    SELECT lot.kind, coalesce(metric.code, lot.currency) AS unit,
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
        ],
        rows=_rows(scope),
        notes=["Units and carrying are compared at the end of the span, exports of the span."],
    )


def _drill(scope: ReportScope) -> Callable[[Row], Drill | None]:
    def drill(row: Row) -> Drill | None:
        if row["check"] == "units":
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
    status = "agrees" if difference == 0 else str(sides.pop("otherwise", "differs"))
    sides.pop("otherwise", None)
    return {
        "check": check,
        "subject": subject,
        "currency": currency,
        **sides,
        "difference": difference,
        "status": status,
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
    """Compare the exact sums of all batches of a format with the turnover of the same months."""
    exported = _in_batches(scope)
    posted = _turnovers(scope) if exported else {}
    names = trial_balance.chart()
    for form, found in exported.items():
        for account, currency in sorted({*posted, *found}):
            yield _row(
                "GL", f"{account} {trial_balance.account_of(names, account).name}", currency,
                one=f"exported, {ExportFormat(form).label}",
                expected=found.get((account, currency), ZERO),
                other="posted, debit less credit", found=posted.get((account, currency), ZERO),
                otherwise="not exported yet",
            )  # fmt: skip


def _in_batches(scope: ReportScope) -> dict[str, dict[tuple[str, str], Decimal]]:
    """Sum the batches of the span's months, debit less credit, by format; the French file has a
    financial year.
    """
    made = ExportBatch.objects.filter(
        livemode=scope.livemode, starts_on__gte=scope.starts_on, starts_on__lt=scope.ends_on
    ).exclude(format=ExportFormat.FEC)
    if scope.recorded_until is not None:
        made = made.filter(created_at__lte=scope.recorded_until)
    exported: dict[str, dict[tuple[str, str], Decimal]] = {}
    for form, booked in made.order_by("format", "number").values_list("format", "booked"):
        found = exported.setdefault(form, defaultdict(Decimal))
        for key, amount in booked.items():
            account, currency, side = key.split("|")
            if scope.currency in (None, currency):
                found[account, currency] += Decimal(amount) * (1 if side == "debit" else -1)
    return exported


def _turnovers(scope: ReportScope) -> dict[tuple[str, str], Decimal]:
    """Sum what was posted in the span, debit less credit."""
    posted: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for move in sums.moved(scope):
        if move.postings:
            posted[move.debit, move.currency] += move.inside
            posted[move.credit, move.currency] -= move.inside
    return posted
