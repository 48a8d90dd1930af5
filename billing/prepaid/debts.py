"""Debts: what captures took beyond a customer's credits, claimed and bounded
(docs/decisions.md#d270).
"""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from aforo.money import ZERO
from aforo.sandbox.services import now_for
from billing.models import Claim
from billing.prepaid import arrears, unbilled_usage
from billing.subscriptions import spend_rules
from ledger.models import Book


def claim_debt(book: Book, debit: UUID, currency: str, owed: Decimal) -> None:
    """Claim what a capture took beyond the credits there were, and suspend the customer: the next
    credits pay it first.

    The book is locked; runs in the transaction of the capture.
    """
    Claim.objects.create(
        book=book, debit_id=debit, currency=currency, amount=owed, created_at=now_for(book)
    )
    arrears.suspend(book)


def owed(book: Book, currency: str) -> Decimal:
    """Return what a customer owes, usage of the open cycles that no credit covers included. The
    book must be locked.
    """
    settled = arrears.owed([book.pk]).get((book.pk, currency), ZERO)
    return settled + unbilled_usage.arrears_so_far(book, currency)


def open_debt(debit: UUID) -> Decimal:
    """Return how much of a capture's debt is not paid yet."""
    claim = Claim.objects.filter(debit=debit).first()
    return ZERO if claim is None else claim.amount - claim.paid


def forgive(book: Book, debit: UUID, quantity: Decimal) -> None:
    """Lower a capture's open debt, which may lift the suspension; a claim of which nothing is left
    is removed.

    The book must be locked.
    """
    claim = Claim.objects.get(debit=debit)
    claim.amount -= quantity
    if claim.amount == 0:
        claim.delete()
    else:
        claim.save(update_fields=["amount"])
    spend_rules.refresh_rules(book=book)
