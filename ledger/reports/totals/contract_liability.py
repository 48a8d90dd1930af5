"""The contract-liability roll-forward: what is owed in credits and service, by kind and currency.

The wallets' lots are tied to its closing in `wallets.reports`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from aforo.money import ZERO
from ledger.models import LedgerEvent
from ledger.posting_rules.parts import (
    BONUS_CREDITS,
    CASH_CREDITS,
    EXPECTED_BREAKAGE,
    GOODWILL,
    GOODWILL_CREDITS,
    PLAN_FEES,
    TAX_PAYABLE,
    UNCLAIMED_PROPERTY,
)
from ledger.reports.report_table import ReportScope
from ledger.reports.totals import roll_forward, sums
from ledger.reports.totals.roll_forward import RollForwardLine, rule
from ledger.reports.totals.sums import Moved

# The sign of a credit is 1 on all of them: 2190 is a debit balance that lowers what is owed.
ACCOUNTS = {
    CASH_CREDITS: "Cash credits",
    BONUS_CREDITS: "Bonus credits",
    PLAN_FEES: "Plan fees",
    GOODWILL_CREDITS: "Goodwill credits",
    EXPECTED_BREAKAGE: "Expected breakage",
}
_SPENT = [
    LedgerEvent.DEBIT, LedgerEvent.CAPTURE, LedgerEvent.USAGE_BURNED, LedgerEvent.SETTLEMENT,
    LedgerEvent.REVERSAL, LedgerEvent.FEE_RECOGNISED,
]  # fmt: skip
# What lapses when a hold ends, a debit is reversed or a cycle settled is an expiry too.
_LAPSING = [
    LedgerEvent.EXPIRY,
    LedgerEvent.CAPTURE,
    LedgerEvent.RELEASE,
    LedgerEvent.REVERSAL,
    LedgerEvent.SETTLEMENT,
]
RULES = [
    rule("fx", "FX", others=["71"]),
    rule("top_ups", "Top-ups", [LedgerEvent.TOP_UP]),
    rule("granted", "Granted", [LedgerEvent.GRANT]),
    rule("breakage", "Breakage accrued", [LedgerEvent.BREAKAGE_ACCRUED]),
    rule("expired", "Expired", others=[CASH_CREDITS, BONUS_CREDITS], own=EXPECTED_BREAKAGE),
    rule("expired", "Expired", _LAPSING, ["42", EXPECTED_BREAKAGE, UNCLAIMED_PROPERTY, GOODWILL]),
    rule("refunds", "Refunds and disputes", [LedgerEvent.REFUND, LedgerEvent.DISPUTE]),
    rule("credit_notes", "Credit notes", [LedgerEvent.CREDIT_NOTE, LedgerEvent.WRITE_OFF]),
    rule("migrated", "Migrated", [LedgerEvent.OPENING_BALANCE]),
    rule("manual", "Corrections", [LedgerEvent.MANUAL, LedgerEvent.ADJUSTMENT]),
    rule("billed", "Fees billed", [LedgerEvent.INVOICE, LedgerEvent.SETTLEMENT], ["1"]),
    rule("tax", "Tax in it", _SPENT, [TAX_PAYABLE]),
    rule("usage", "Usage and fees earned", _SPENT, ["40", "41"]),
    rule("reclass", "Reclassified", _SPENT, ["21"]),
]
ORDER = [
    "opening", "top_ups", "to_bonus", "granted", "billed", "usage", "tax", "breakage", "expired",
    "refunds", "credit_notes", "reclass", "migrated", "fx", "manual", "other", "closing",
]  # fmt: skip

# Of each lot (of each book, where there is none) no more is from the opening than there was.
_FROM_OPENING = """
    SELECT account, currency, sum(least(greatest(opening, 0), greatest(earned, 0)))
    FROM (
        SELECT side.account, p.currency,
            sum(side.amount) FILTER (WHERE e.accounting_date < %(starts_on)s) AS opening,
            -sum(side.amount) FILTER (
                WHERE e.accounting_date >= %(starts_on)s AND side.other LIKE '4%%'
            ) AS earned
        FROM {postings} {sides}
        WHERE {scope} AND side.account = ANY(%(accounts)s)
        GROUP BY side.account, p.currency, e.book_id, p.lot
    ) held
    GROUP BY account, currency
"""


@dataclass(frozen=True, slots=True)
class LiabilityLine:
    """A line with the part of its revenue that was owed already at the opening (50-8)."""

    line: RollForwardLine
    from_opening: Decimal


def lines(scope: ReportScope) -> list[LiabilityLine]:
    """Roll every liability of credits and fees forward."""
    found = roll_forward.roll(
        sums.moved(scope), accounts=dict.fromkeys(ACCOUNTS, 1), rules=RULES, split=_allocated
    )
    opened = from_opening(scope)
    return [
        LiabilityLine(line, opened.get((line.account, line.currency), ZERO))
        for line in sorted(found, key=lambda line: (line.currency, line.account))
    ]


def _allocated(account: str, move: Moved, lines: dict[tuple[str, str], RollForwardLine]) -> bool:
    """Add a bonus that was bought as paid with the cash credits, then allocated to the bonus.

    100.00 for 100 + 20 credits: cash 100.00 less 16.67, bonus 16.67 (docs/accounting.md#m2).
    """
    if account != BONUS_CREDITS or move.event != LedgerEvent.TOP_UP:
        return False
    key = (CASH_CREDITS, move.currency)
    cash = lines.setdefault(key, RollForwardLine(account=CASH_CREDITS, currency=move.currency))
    cash.columns["top_ups"] += move.inside
    cash.columns["to_bonus"] -= move.inside
    lines[account, move.currency].columns["to_bonus"] += move.inside
    return True


def from_opening(scope: ReportScope) -> dict[tuple[str, str], Decimal]:
    """Sum the revenue of the span that was owed at its opening, by account and currency."""
    rows: Sequence[tuple[str, str, Decimal | None]] = sums.fetch(
        _FROM_OPENING, scope, {"accounts": list(ACCOUNTS)}
    )
    return {(account, currency): amount or ZERO for account, currency, amount in rows}
