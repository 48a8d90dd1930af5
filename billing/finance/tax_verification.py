"""Verification of the tax that credits owe: it is that of what was paid for them
(docs/decisions.md#d44).
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from django.db import connection

from aforo import money
from aforo.money import ZERO
from ledger.models import Book
from ledger.posting_rules import TAX_PAYABLE
from ledger.posting_rules.parts import BONUS_REVENUE, CASH_REVENUE

LAST_PLACES = Decimal("0.000000001")

# Of each direct sale, the tax that it posted and the tax inside what was paid for its credits; and
# of each lot that a document has taxed, what its use has posted again; of each top-up that was
# taxed when it was sold, what it posted, and what refunds gave back.
_TAX_AGAINST_CONSIDERATION = """
    SELECT 'entry ' || e.id, sum(p.amount) FILTER (WHERE p.credit_id = %(tax)s),
        sum(p.amount) FILTER (WHERE lot.kind <> 'PROMO' AND NOT lot.taxed_at_sale)
            * (e.document->>'tax_percent')::numeric
            / (100 + (e.document->>'tax_percent')::numeric)
    FROM ledger_entry e
    JOIN ledger_posting p ON p.entry_id = e.id AND p.credit_id = ANY(%(sold)s)
    JOIN wallets_creditlot lot ON lot.id = p.lot
    WHERE e.book_id = %(book)s AND e.event IN ('DEBIT', 'CAPTURE') AND e.document ? 'tax_percent'
    GROUP BY e.id
    UNION ALL
    SELECT 'lot ' || lot.id, sum(p.amount), 0
    FROM wallets_creditlot lot
    JOIN ledger_entry e ON e.book_id = lot.book_id
    JOIN ledger_posting p ON p.entry_id = e.id AND p.lot = lot.id AND p.credit_id = %(tax)s
    WHERE lot.book_id = %(book)s AND lot.taxed_at_sale
    GROUP BY lot.id
    UNION ALL
    SELECT 'top-up ' || t.id,
        coalesce(sum(p.amount) FILTER (WHERE p.credit_id = %(tax)s), 0)
            - coalesce(sum(p.amount) FILTER (WHERE p.debit_id = %(tax)s), 0), t.tax
    FROM wallets_topup t
    JOIN ledger_entry e ON e.book_id = t.book_id AND e.event = 'TOP_UP'
        AND e.document->>'top_up' = t.id::text
    LEFT JOIN ledger_posting p ON p.entry_id = e.id
    WHERE t.book_id = %(book)s AND t.taxed_at_sale
    GROUP BY t.id
    UNION ALL
    SELECT 'refunds', (
            SELECT coalesce(sum(p.amount), 0) FROM ledger_entry e
            JOIN ledger_posting p ON p.entry_id = e.id AND p.debit_id = %(tax)s
            WHERE e.book_id = %(book)s AND e.event = 'REFUND'
        ), sum(t.tax_refunded)
    FROM wallets_topup t WHERE t.book_id = %(book)s AND t.taxed_at_sale HAVING count(*) > 0
"""


def check_tax(book: Book) -> Iterator[tuple[str, str | None]]:
    """Return each direct sale, each lot and top-up taxed at sale, and the tax of refunds, with the
    fault of its tax, if any.
    """
    sold = [CASH_REVENUE, BONUS_REVENUE, TAX_PAYABLE]
    with connection.cursor() as cursor:
        cursor.execute(
            _TAX_AGAINST_CONSIDERATION, {"book": book.pk, "tax": TAX_PAYABLE, "sold": sold}
        )
        taxed = cursor.fetchall()
    for named, posted, inside in taxed:
        whole = [money.to_books(figure or ZERO) for figure in (posted, inside)]
        # Each of its lots rounds the last place by itself.
        is_same = abs(whole[0] - whole[1]) <= LAST_PLACES
        yield (
            named,
            None if is_same else f"its tax is {whole[0]:f}, what was paid holds {whole[1]:f}",
        )
