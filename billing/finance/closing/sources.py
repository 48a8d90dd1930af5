"""What rows of the company say that accounts must stand at, each with the book that it is of.

A row that has a date of its own counts by it: invoices as they are issued, money as it is received,
accruals at their month's end. What a row has only as it stands now (what is paid, refunded, used)
is brought back to the day by taking away what was posted since: so a row or a posting that was
tampered with differs, on whatever day it is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ledger.posting_rules.parts import (
    BONUS_CREDITS,
    BONUS_REVENUE,
    CASH_CREDITS,
    CASH_REVENUE,
    CLEARING,
    CUSTOMER_CREDIT,
    DISPUTE_LOSSES,
    DISPUTED,
    GOODWILL_CREDITS,
    LOT_LIABILITIES,
    PLAN_FEES,
    RECEIVABLE,
    REFUND_LIABILITY,
    TAX_PAYABLE,
    UNAPPLIED_PAYMENTS,
    UNBILLED,
)


@dataclass(frozen=True, slots=True)
class Source:
    """What an account is compared with: `rows` selects (book, currency, amount), above zero on the
    account's normal side; `dated` is the condition of postings that its rows date themselves.
    """

    account: str
    says: str
    rows: str
    dated: str = "false"


# What a lot still carries is the sum of its movements up to the day.
_LOTS: Final = """
    SELECT e.book_id, lot.currency,
        sum(CASE WHEN m.kind IN ('GRANT', 'REVERSE') THEN m.carrying
            WHEN m.kind IN ('HOLD', 'RELEASE', 'ROLLOVER') THEN 0 ELSE -m.carrying END)
    FROM wallets_movement m
    JOIN wallets_creditlot lot ON lot.id = m.lot_id
    JOIN ledger_entry e ON e.id = m.entry_id AND e.accounting_date <= %(until)s
    JOIN ledger_book b ON b.id = e.book_id AND b.livemode = %(livemode)s
    WHERE m.carrying <> 0 AND {kinds}
    GROUP BY 1, 2
"""
_KINDS: Final = {
    CASH_CREDITS: "(lot.kind = 'CASH' OR lot.kind = 'PROMO' AND lot.source <> 'GOODWILL')",
    BONUS_CREDITS: "lot.kind = 'BONUS'",
    GOODWILL_CREDITS: "lot.kind = 'PROMO' AND lot.source = 'GOODWILL'",
}

# Credits that wait for their payment are owed by nobody: their invoice is no receivable.
_INVOICES: Final = """
    SELECT i.customer_id, i.currency,
        CASE WHEN i.issued_at < %(end)s THEN i.amount_due ELSE 0 END
        - CASE i.status WHEN 'VOID' THEN i.amount_due
            ELSE i.paid + i.credited + i.written_off END
    FROM billing_invoice i
    LEFT JOIN wallets_topup t ON t.id = i.top_up_id
    WHERE i.livemode = %(livemode)s AND i.issued_at IS NOT NULL AND (t.id IS NULL OR EXISTS (
        SELECT FROM wallets_creditlot lot
        WHERE lot.top_up_id = t.id AND lot.granted_at = t.created_at))
"""
_UNBILLED: Final = """
    SELECT i.customer_id, i.currency, i.amount_due - i.due_tax
    FROM billing_invoice i
    WHERE i.livemode = %(livemode)s AND i.top_up_id IS NULL
        AND (i.issued_at IS NULL OR i.issued_at >= %(end)s)
    UNION ALL
    SELECT s.customer_id, plan.currency, m.usage + m.fees
    FROM billing_monthend m
    JOIN billing_subscription s ON s.id = m.subscription_id
    JOIN pricing_rateplanversion v ON v.id = s.version_id
    JOIN pricing_rateplan plan ON plan.id = v.plan_id AND plan.livemode = %(livemode)s
    WHERE m.ends_at = %(end)s
"""
_FEES: Final = """
    SELECT f.book_id, f.currency, f.amount - f.recognised
    FROM billing_advancefee f
    JOIN ledger_book b ON b.id = f.book_id AND b.livemode = %(livemode)s
"""
_OWED: Final = """
    SELECT s.book_id, s.currency, c.amount - c.used - c.paid_out
    FROM billing_latecredit c
    JOIN billing_settlement s ON s.id = c.settlement_id
    JOIN ledger_book b ON b.id = s.book_id AND b.livemode = %(livemode)s
    UNION ALL
    SELECT t.book_id, r.currency, r.amount
    FROM wallets_gatewayrefund r
    JOIN wallets_topup t ON t.id = r.top_up_id
    JOIN ledger_book b ON b.id = t.book_id AND b.livemode = %(livemode)s
    WHERE r.status = 'FAILED'
"""
# What invoices of usage tax, as they are issued (those of credits are taxed with the sale); what
# direct sales hold of it by the rate that they name, to the last places that each lot rounds by
# itself; what others posted as it is.
_TAXES: Final = """
    SELECT i.customer_id, i.currency, i.due_tax
    FROM billing_invoice i
    WHERE i.livemode = %(livemode)s AND i.issued_at < %(end)s AND i.top_up_id IS NULL
    UNION ALL
    SELECT sold.book_id, sold.currency,
        CASE WHEN abs(sold.posted - sold.inside) <= 0.000000001 THEN sold.posted
            ELSE sold.inside END
    FROM (
        SELECT e.book_id, p.currency,
            coalesce(sum(p.amount) FILTER (WHERE p.credit_id = %(tax)s), 0) AS posted,
            coalesce(sum(p.amount) FILTER (WHERE lot.kind <> 'PROMO' AND NOT lot.taxed_at_sale), 0)
                * coalesce((e.document->>'tax_percent')::numeric, 0)
                / (100 + coalesce((e.document->>'tax_percent')::numeric, 0)) AS inside
        FROM ledger_entry e
        JOIN ledger_book b ON b.id = e.book_id AND b.livemode = %(livemode)s
        JOIN ledger_posting p ON p.entry_id = e.id
            AND p.credit_id IN (%(cash_earned)s, %(bonus_earned)s, %(tax)s)
        JOIN wallets_creditlot lot ON lot.id = p.lot
        WHERE e.event IN ('DEBIT', 'CAPTURE') AND e.accounting_date <= %(until)s
        GROUP BY e.id, e.book_id, p.currency
    ) sold
    UNION ALL
    SELECT e.book_id, p.currency, CASE p.credit_id WHEN %(tax)s THEN p.amount ELSE -p.amount END
    FROM ledger_posting p
    JOIN ledger_entry e ON e.id = p.entry_id AND e.accounting_date <= %(until)s
    JOIN ledger_book b ON b.id = e.book_id AND b.livemode = %(livemode)s
    WHERE %(tax)s IN (p.credit_id, p.debit_id)
        AND e.event NOT IN ('INVOICE', 'DEBIT', 'CAPTURE', 'MANUAL')
"""
# What was corrected by hand is counted with its adjustment.
_CREDIT: Final = """
    SELECT c.book_id, c.currency, c.amount
    FROM billing_customercredit c
    JOIN ledger_book b ON b.id = c.book_id AND b.livemode = %(livemode)s
    JOIN ledger_entry e ON e.id = c.entry_id AND e.accounting_date <= %(until)s
    WHERE c.account = '{account}' AND e.event <> 'MANUAL'
"""
# Whose account money came into, and leaves: that of the way that is kept, else of the channel.
_PROCESSED: Final = """
    SELECT t.book_id, t.currency,
        CASE WHEN t.channel <> 'ON_ACCOUNT' AND t.paid_at < %(end)s THEN t.amount + t.tax
            ELSE 0 END
        - t.refunded - t.tax_refunded - t.dispute_fee
        - CASE WHEN t.dispute IN ('opened', 'lost') THEN t.disputed ELSE 0 END
    FROM wallets_topup t
    JOIN ledger_book b ON b.id = t.book_id AND b.livemode = %(livemode)s
    WHERE t.status = 'SUCCEEDED'
        AND (t.paid_by = 'PROCESSOR' OR t.paid_by = '' AND t.channel <> 'ON_ACCOUNT')
    UNION ALL
    SELECT i.customer_id, i.currency, p.amount
    FROM billing_invoicepayment p
    JOIN billing_invoice i ON i.id = p.invoice_id AND i.livemode = %(livemode)s
    WHERE p.paid_by = 'PROCESSOR' AND p.received_at < %(end)s
    UNION ALL
    SELECT t.book_id, r.currency, r.amount
    FROM wallets_gatewayrefund r
    JOIN wallets_topup t ON t.id = r.top_up_id
    JOIN ledger_book b ON b.id = t.book_id AND b.livemode = %(livemode)s
    WHERE r.status = 'FAILED'
"""
_DISPUTED: Final = """
    SELECT t.book_id, t.currency, t.disputed
    FROM wallets_topup t
    JOIN ledger_book b ON b.id = t.book_id AND b.livemode = %(livemode)s
    WHERE t.dispute = 'opened'
"""
# A claim is repaid by what the credits that pay it carry, which may be less than it is lowered by.
_CLAIMS: Final = """
    SELECT c.book_id, t.currency,
        CASE WHEN c.created_at < %(end)s THEN coalesce(c.lost, c.amount) ELSE 0 END
    FROM billing_claim c
    JOIN wallets_topup t ON t.id = c.top_up_id
    JOIN ledger_book b ON b.id = c.book_id AND b.livemode = %(livemode)s
    UNION ALL
    SELECT c.book_id, lot.currency, -m.carrying
    FROM billing_claim c
    JOIN ledger_book b ON b.id = c.book_id AND b.livemode = %(livemode)s
    JOIN ledger_entry e ON e.book_id = c.book_id AND e.document->>'claim' = c.id::text
        AND e.event = 'SETTLEMENT' AND e.accounting_date <= %(until)s
    JOIN wallets_movement m ON m.entry_id = e.id AND m.kind = 'BURN'
    JOIN wallets_creditlot lot ON lot.id = m.lot_id
    WHERE c.top_up_id IS NOT NULL
"""

SOURCES: Final = (
    *(
        Source(account, "lots", _LOTS.replace("{kinds}", _KINDS[account]), dated="true")
        for account in LOT_LIABILITIES
    ),
    Source(PLAN_FEES, "fees not yet earned", _FEES),
    Source(
        RECEIVABLE, "open invoices", _INVOICES,
        dated="e.event IN ('INVOICE', 'TOP_UP') AND p.debit_id = %(receivable)s",
    ),
    Source(
        UNBILLED, "settled, not invoiced, and accrued", _UNBILLED,
        dated="e.event IN ('INVOICE', 'USAGE_ACCRUED')",
    ),
    Source(REFUND_LIABILITY, "late credits, and refunds that the gateway declined", _OWED),
    *(
        Source(account, "credit of customers", _CREDIT.replace("{account}", account), dated="true")
        for account in (CUSTOMER_CREDIT, UNAPPLIED_PAYMENTS)
    ),
    Source(TAX_PAYABLE, "tax lines", _TAXES, dated="true"),
    Source(
        CLEARING, "payments, less refunds and disputes", _PROCESSED,
        dated="e.event IN ('TOP_UP', 'PAYMENT')",
    ),
    Source(DISPUTED, "open disputes", _DISPUTED),
    Source(DISPUTE_LOSSES, "claims of lost disputes", _CLAIMS, dated="true"),
)  # fmt: skip

# By account and book: what was posted up to the day, and what was since that no row dates.
_POSTED: Final = """
    SELECT side.account, e.book_id, p.currency,
        coalesce(sum(side.amount) FILTER (WHERE e.accounting_date <= %(until)s), 0) AS books,
        -coalesce(sum(side.amount) FILTER (WHERE e.accounting_date > %(until)s
            AND NOT ({dated})), 0) AS other
    FROM ledger_posting p
    JOIN ledger_entry e ON e.id = p.entry_id
    JOIN ledger_book b ON b.id = e.book_id AND b.livemode = %(livemode)s
    CROSS JOIN LATERAL (VALUES (p.debit_id, p.amount), (p.credit_id, -p.amount))
        AS moved(account, amount)
    JOIN LATERAL (
        SELECT moved.account, CASE a.normal WHEN 'DEBIT' THEN moved.amount ELSE -moved.amount END
            AS amount
        FROM ledger_account a WHERE a.code = moved.account
    ) side ON side.account = ANY(%(accounts)s)
    GROUP BY 1, 2, 3
"""
# What two people corrected by hand is a row of its own; an accrual is taken back by another entry.
_BY_HAND: Final = """
    SELECT moved.account, e.book_id, line.currency,
        posted.sign * CASE a.normal WHEN 'DEBIT' THEN moved.amount ELSE -moved.amount END
    FROM ledger_adjustmentline line
    JOIN ledger_manualadjustment made ON made.id = line.adjustment_id
    CROSS JOIN LATERAL (
        SELECT made.entry_id, 1
        UNION ALL
        SELECT back.id, -1 FROM ledger_entry back
        WHERE back.document ? 'reverses' AND back.document->>'reverses' = made.entry_id::text
            AND back.event = 'MANUAL'
    ) AS posted(entry_id, sign)
    JOIN ledger_entry e ON e.id = posted.entry_id
    JOIN ledger_book b ON b.id = e.book_id AND b.livemode = %(livemode)s
    CROSS JOIN LATERAL (VALUES (line.debit_id, line.amount), (line.credit_id, -line.amount))
        AS moved(account, amount)
    JOIN ledger_account a ON a.code = moved.account
    WHERE moved.account = ANY(%(accounts)s) AND e.accounting_date <= %(until)s
"""
_COMPARED: Final = """
    WITH sides(account, book_id, currency, books, other) AS (
        {posted}
        UNION ALL
        SELECT account, book_id, currency, 0, amount FROM (
            {by_hand}
        ) by_hand(account, book_id, currency, amount)
        {rows}
    ), by_book AS (
        SELECT account, book_id, currency, sum(books) AS books, sum(other) AS other
        FROM sides GROUP BY account, book_id, currency
    )
    SELECT account, currency, sum(books), sum(other),
        jsonb_agg(jsonb_build_array(b.key, books::text, other::text)
            ORDER BY abs(books - other) DESC, b.key) FILTER (WHERE books <> other)
    FROM by_book JOIN ledger_book b ON b.id = by_book.book_id
    GROUP BY account, currency
    HAVING bool_or(books <> 0 OR other <> 0)
    ORDER BY account, currency
"""


def _compared() -> str:
    """Return the statement that compares every account with its source, by currency, with the books
    that differ.
    """
    rows = "".join(
        f"""
        UNION ALL
        SELECT '{source.account}', book_id, currency, 0, amount FROM (
            {source.rows}
        ) said(book_id, currency, amount)
        """  # noqa: S608
        for source in SOURCES
    )
    dated = " OR ".join(
        f"(side.account = '{source.account}' AND ({source.dated}))" for source in SOURCES
    )
    return (
        _COMPARED.replace("{posted}", _POSTED.replace("{dated}", f"e.event = 'MANUAL' OR {dated}"))
        .replace("{by_hand}", _BY_HAND)
        .replace("{rows}", rows)
    )


COMPARED: Final = _compared()
NAMED: Final = {
    "tax": TAX_PAYABLE,
    "receivable": RECEIVABLE,
    "cash_earned": CASH_REVENUE,
    "bonus_earned": BONUS_REVENUE,
}
