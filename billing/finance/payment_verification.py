"""Verification of payments of the bank: what invoices took of one is all of it
(docs/decisions.md#d454).
"""

from __future__ import annotations

from collections.abc import Iterator

from django.db import connection

from ledger.models import Book

_AGAINST_INVOICES = """
    SELECT b.id, b.state, b.amount, sum(p.amount)
    FROM billing_bankpayment b
    JOIN billing_invoicepayment p ON p.bank_payment_id = b.id
    JOIN billing_invoice i ON i.id = p.invoice_id
    WHERE i.customer_id = %s
    GROUP BY b.id ORDER BY b.id
"""


def check_bank_payments(book: Book) -> Iterator[tuple[str, str | None]]:
    """Return each payment of the bank that a customer's invoices took, with its fault, if any."""
    with connection.cursor() as cursor:
        cursor.execute(_AGAINST_INVOICES, [book.pk])
        found = cursor.fetchall()
    for payment, state, amount, taken in found:
        is_same = state == "MATCHED" and amount == taken
        said = f"it is {state}, of {amount:f}; its invoices took {taken:f}"
        yield f"bank payment {payment}", None if is_same else said
