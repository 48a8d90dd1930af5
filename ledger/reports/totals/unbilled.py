"""The roll-forward of what was earned and not yet invoiced (account 1200)."""

from __future__ import annotations

from ledger import posting_rules
from ledger.models import LedgerEvent
from ledger.reports.report_table import Report, ReportScope, text_column
from ledger.reports.totals import roll_forward, sums
from ledger.reports.totals.roll_forward import rule

RULES = [
    rule("rounding", "Rounding", others=[posting_rules.ROUNDING]),
    rule("invoiced", "Invoiced", [LedgerEvent.INVOICE], [posting_rules.RECEIVABLE]),
    rule(
        "accrued",
        "Accrued",
        [
            LedgerEvent.SETTLEMENT, LedgerEvent.USAGE_ACCRUED, LedgerEvent.DEBIT,
            LedgerEvent.CAPTURE, LedgerEvent.INVOICE,
        ],
        ["4", posting_rules.PLAN_FEES],
    ),
    rule(
        "adjusted",
        "Adjusted",
        [
            LedgerEvent.REVERSAL, LedgerEvent.CREDIT_NOTE, LedgerEvent.WRITE_OFF,
            LedgerEvent.ADJUSTMENT, LedgerEvent.MANUAL,
        ],
    ),
]  # fmt: skip
ORDER = ["accrued", "rounding", "invoiced", "adjusted"]


def report(scope: ReportScope) -> Report:
    """Report opening, accrued, invoiced, adjusted and closing by currency; closing is 1200."""
    lines = roll_forward.roll(sums.moved(scope), accounts={posting_rules.UNBILLED: -1}, rules=RULES)
    found = {column.name: column for column in roll_forward.columns(scope, RULES)}
    return Report(
        name="unbilled",
        title="Unbilled receivable, roll-forward",
        scope=scope,
        columns=[
            text_column("account", "Account"),
            text_column("currency", "Currency"),
            *(found[name] for name in ("opening", *ORDER, "other", "closing")),
        ],
        rows=[roll_forward.row(line, RULES) for line in lines],
    )
