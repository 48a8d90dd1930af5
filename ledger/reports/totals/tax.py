"""Tax by jurisdiction and rate: what was taxed, what is owed for it; the sum is account 2300."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from aforo.money import to_books
from ledger.models import LedgerEvent
from ledger.posting_rules.parts import (
    BONUS_REVENUE,
    CASH_REVENUE,
    COMMITMENT_REVENUE,
    FEE_REVENUE,
    LOT_LIABILITIES,
    OVERAGE_REVENUE,
    PLAN_FEES,
    RECEIVABLE,
    TAX_PAYABLE,
    UNBILLED,
)
from ledger.reports.report_table import Drill, Report, ReportScope, Row, amount_column, text_column
from ledger.reports.totals import sums

# Tax falls due with the burn of credits, or with the invoice: so what is taxed is what burns earn
# or defer, and what invoices bring from unbilled; what becomes unbilled is taxed later. Credits
# that owe none are no base (nothing was paid for them, or a document has taxed it): at a rate above
# zero, a lot counts where its tax stands beside it. Under tax at sale the base is what was paid for
# the lots that the entry names.
_TAXED = """
    SELECT part.jurisdiction, part.tax_code, part.tax_percent, p.currency,
        coalesce(sum(p.amount * part.of_net) FILTER (WHERE e.document ? 'tax_code' AND (
            (p.debit_id <> %(unbilled)s AND p.credit_id = ANY(%(earned)s) AND {owes})
            OR (p.credit_id = ANY(%(lots)s) AND e.document->'taxed_lots' ? p.lot::text)
            OR (p.debit_id = %(receivable)s AND p.credit_id = %(unbilled)s))), 0)
        - coalesce(sum(p.amount * part.of_net) FILTER (WHERE e.document ? 'tax_code' AND (
            (p.credit_id <> %(unbilled)s AND p.debit_id = ANY(%(earned)s) AND {owes})
            OR (p.debit_id = ANY(%(lots)s) AND e.document->'taxed_lots' ? p.lot::text)
            OR (p.credit_id = %(receivable)s AND p.debit_id = %(unbilled)s))), 0),
        coalesce(sum(p.amount * part.of_tax)
            FILTER (WHERE p.credit_id = %(tax)s AND e.event <> %(hand)s), 0),
        coalesce(sum(p.amount * part.of_tax)
            FILTER (WHERE p.debit_id = %(tax)s AND e.event <> %(hand)s), 0),
        coalesce(sum(CASE %(tax)s WHEN p.credit_id THEN p.amount WHEN p.debit_id THEN -p.amount END)
            FILTER (WHERE e.event = %(hand)s), 0)
    FROM {postings} CROSS JOIN LATERAL (
        SELECT coalesce(tax->>'jurisdiction', '') AS jurisdiction,
            coalesce(tax->>'tax_code', '') AS tax_code,
            coalesce(tax->>'tax_percent', '') AS tax_percent,
            coalesce((tax->>'net')::numeric / nullif(sum((tax->>'net')::numeric)
                FILTER (WHERE tax->'on_top' IS NULL) OVER (), 0), 1) AS of_net,
            coalesce(
                (tax->>'tax')::numeric / nullif(sum((tax->>'tax')::numeric) OVER (), 0),
                (tax->>'tax_percent')::numeric
                    / nullif(sum((tax->>'tax_percent')::numeric) OVER (), 0),
                1
            ) AS of_tax
        FROM jsonb_array_elements(coalesce(e.document->'taxes', jsonb_build_array(e.document))) tax
    ) AS part
    WHERE {scope} AND e.accounting_date >= %(starts_on)s
        AND (%(tax)s IN (p.debit_id, p.credit_id) OR e.document ? 'tax_code')
    GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
""".replace(
    "{owes}",
    """(p.lot IS NULL OR part.tax_percent = '0' OR EXISTS (
        SELECT FROM ledger_posting own WHERE own.entry_id = p.entry_id AND own.lot = p.lot
            AND %(tax)s IN (own.debit_id, own.credit_id)))""",
)
_EARNED = [
    PLAN_FEES, CASH_REVENUE, BONUS_REVENUE, OVERAGE_REVENUE, FEE_REVENUE, COMMITMENT_REVENUE,
]  # fmt: skip


def report(scope: ReportScope) -> Report:
    """Report each jurisdiction and rate with base and tax; by hand means remitted, mostly."""
    return Report(
        name="tax",
        title="Tax by jurisdiction",
        scope=scope,
        columns=[
            text_column("jurisdiction", "Jurisdiction"),
            text_column("tax_code", "Tax"),
            text_column("percent", "Percent"),
            text_column("currency", "Currency"),
            amount_column("base", "Taxed"),
            amount_column("charged", "Charged", _drill(scope, "credit")),
            amount_column("taken_back", "Taken back", _drill(scope, "debit")),
            amount_column("by_hand", "Remitted, corrected", _drill(scope, "account", by_hand=True)),
            amount_column("owed", "Change of what is owed", _drill(scope, "account")),
        ],
        rows=_rows(scope),
        notes=[
            "The last column sums to the change of account 2300.",
            "A document with several rates counts in each row with its part.",
        ],
    )


def _drill(scope: ReportScope, side: str, *, by_hand: bool = False) -> Callable[[Row], Drill]:
    events = (
        [LedgerEvent.MANUAL]
        if by_hand
        else [each for each in LedgerEvent if each != LedgerEvent.MANUAL]
    )
    named = {} if side == "account" and not by_hand else {"event": ",".join(events)}

    def drill(row: Row) -> Drill:
        return {
            **scope.span,
            **named,
            side: TAX_PAYABLE,
            "currency": str(row["currency"]),
            "tax_code": str(row["tax_code"]) or "none",
            **{name: str(row[name]) for name in ("jurisdiction",) if row[name]},
        }

    return drill


def _rows(scope: ReportScope) -> Iterator[Row]:
    asked = {
        "tax": TAX_PAYABLE,
        "unbilled": UNBILLED,
        "receivable": RECEIVABLE,
        "hand": LedgerEvent.MANUAL.value,
        "earned": _EARNED,
        "lots": list(LOT_LIABILITIES),
    }
    for jurisdiction, code, percent, currency, *figures in sums.fetch(_TAXED, scope, asked):
        if any(figures):
            base, charged, taken_back, by_hand = map(to_books, figures)
            yield {
                "jurisdiction": jurisdiction,
                "tax_code": code,
                "percent": percent,
                "currency": currency,
                "base": base,
                "charged": charged,
                "taken_back": taken_back,
                "by_hand": by_hand,
                "owed": charged - taken_back + by_hand,
            }
