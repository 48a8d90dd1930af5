"""Verification of customers' credit: its rows are what the postings say, none below zero in all."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import connection

from ledger.models import Book
from ledger.posting_rules import CUSTOMER_CREDIT, UNAPPLIED_PAYMENTS

_ROWS_AGAINST_POSTINGS = """
    WITH posted AS (
        SELECT p.id AS posting, side.account, p.currency, side.sign * p.amount AS amount
        FROM ledger_entry e
        JOIN ledger_posting p ON p.entry_id = e.id
        CROSS JOIN LATERAL (VALUES (p.credit_id, 1), (p.debit_id, -1)) AS side(account, sign)
        WHERE e.book_id = %(book)s AND side.account = ANY(%(accounts)s)
    ), kept AS (
        SELECT posting_id AS posting, account, currency, amount
        FROM billing_customercredit WHERE book_id = %(book)s
    )
    SELECT account, currency, coalesce(kept.amount, 0), coalesce(posted.amount, 0), posting
    FROM kept FULL JOIN posted USING (posting, account, currency)
    WHERE kept.amount IS DISTINCT FROM posted.amount
    UNION ALL
    SELECT account, currency, sum(amount), NULL, NULL FROM kept
    GROUP BY account, currency HAVING sum(amount) < 0
    ORDER BY 1, 2
"""


def check_credit(book: Book) -> Iterator[tuple[str, str | None]]:
    """Return each change of the customer's credit that differs from its posting, and each sum that
    is below zero.
    """
    accounts = [CUSTOMER_CREDIT, UNAPPLIED_PAYMENTS]
    with connection.cursor() as cursor:
        cursor.execute(_ROWS_AGAINST_POSTINGS, {"book": book.pk, "accounts": accounts})
        wrong = cursor.fetchall()
    for account, currency, kept, posted, posting in wrong:
        named = f"credit of {book.key} on {account} in {currency}"
        if posted is None:
            yield named, f"it is {kept:f}, below zero"
        else:
            yield named, f"it changed by {kept:f}, posting {posting} says {posted:f}"
