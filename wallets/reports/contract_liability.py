"""The contract-liability roll-forward, with its closing compared to the trial balance and the
lots.
"""

from __future__ import annotations

from collections.abc import Iterator

from aforo.money import ZERO
from ledger.models import LedgerEvent
from ledger.posting_rules.parts import BONUS_CREDITS, CASH_CREDITS, EXPECTED_BREAKAGE, PLAN_FEES
from ledger.reports.report_table import (
    Column,
    Drill,
    Report,
    ReportScope,
    Row,
    amount_column,
    text_column,
)
from ledger.reports.totals import contract_liability, roll_forward
from wallets.reports import lots


def report(scope: ReportScope) -> Report:
    """Return, for each kind of credit and currency, the movements from opening to closing.

    It foots; the opening is the closing of the span before; the carrying of the lots at the end
    stands beside the closing, with the difference.
    """
    made = {column.name: column for column in roll_forward.columns(scope, contract_liability.RULES)}
    made |= {column.name: column for column in _bought(scope)}
    return Report(
        name="contract-liability",
        title="Contract liability, roll-forward",
        scope=scope,
        columns=[
            text_column("kind", "Kind"),
            text_column("account", "Account"),
            text_column("currency", "Currency"),
            *(made[name] for name in contract_liability.ORDER),
            amount_column("from_opening", "Revenue that was in the opening"),
            amount_column("lots", "Lots carry", kept=True),
            amount_column("difference", "Difference", kept=True),
        ],
        rows=_rows(scope),
        notes=[
            "Top-ups are shown as paid, and what bonus credits take of it beside them.",
            "Plan fees and expected breakage have no lots.",
        ],
    )


def _bought(scope: ReportScope) -> list[Column]:
    """Build the two columns of top-ups; their bonus part is on account 2110."""

    def paid(row: Row) -> Drill | None:
        if row["account"] != CASH_CREDITS:
            return {**scope.span, "account": str(row["account"]), "event": LedgerEvent.TOP_UP.value}
        both = f"{CASH_CREDITS},{BONUS_CREDITS}"
        return {**scope.span, "account": both, **_top_ups(row)}

    def bonus(row: Row) -> Drill:
        return {**scope.span, "account": BONUS_CREDITS, **_top_ups(row)}

    return [
        amount_column("top_ups", "Top-ups", paid),
        amount_column("to_bonus", "Allocated to bonus", bonus),
    ]


def _top_ups(row: Row) -> dict[str, str]:
    return {"currency": str(row["currency"]), "event": LedgerEvent.TOP_UP.value}


def _rows(scope: ReportScope) -> Iterator[Row]:
    carried = lots.carried(scope)
    for found in contract_liability.lines(scope):
        line = found.line
        has_lots = line.account not in {PLAN_FEES, EXPECTED_BREAKAGE}
        carries = carried.get((line.account, line.currency), ZERO) if has_lots else None
        yield {
            "kind": contract_liability.ACCOUNTS[line.account],
            **roll_forward.row(line, contract_liability.RULES),
            "to_bonus": line.columns.get("to_bonus", ZERO),
            "from_opening": found.from_opening,
            "lots": carries,
            "difference": None if carries is None else line.closing - carries,
        }
