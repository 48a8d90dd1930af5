"""The roll-forward of what was earned and not yet invoiced (account 1200)."""

from __future__ import annotations

from ledger import recipes
from ledger.models import Event
from ledger.reports import rollforward, sums
from ledger.reports.rollforward import rule
from ledger.reports.shape import Report, Scope, text_column

RULES = [
    rule("rounding", "Rounding", others=[recipes.ROUNDING]),
    rule("invoiced", "Invoiced", [Event.INVOICE], [recipes.RECEIVABLE]),
    rule(
        "accrued",
        "Accrued",
        [
            Event.SETTLEMENT, Event.USAGE_ACCRUED, Event.DEBIT, Event.CAPTURE, Event.INVOICE,
        ],
        ["4", "2120"],
    ),
    rule(
        "adjusted",
        "Adjusted",
        [
            Event.REVERSAL, Event.CREDIT_NOTE, Event.WRITE_OFF, Event.ADJUSTMENT, Event.MANUAL,
        ],
    ),
]  # fmt: skip
ORDER = ["accrued", "rounding", "invoiced", "adjusted"]


def report(scope: Scope) -> Report:
    """Show opening, accrued, invoiced, adjusted and closing by currency; closing is 1200."""
    lines = rollforward.roll(sums.moved(scope), accounts={recipes.UNBILLED: -1}, rules=RULES)
    found = {column.name: column for column in rollforward.columns(scope, RULES)}
    return Report(
        name="unbilled",
        title="Unbilled receivable, roll-forward",
        scope=scope,
        columns=[
            text_column("account", "Account"),
            text_column("currency", "Currency"),
            *(found[name] for name in ("opening", *ORDER, "other", "closing")),
        ],
        rows=[rollforward.row(line, RULES) for line in lines],
    )
