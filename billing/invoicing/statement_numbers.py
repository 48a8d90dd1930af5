"""Numbers of PREPAID settlements, which are documents of their own: without gaps, assigned in a
short transaction after Settle, so that numbering never holds up the settlement of others.
"""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from billing import locks
from billing.invoicing import document_mail, statement_documents
from billing.models import Document, Settlement, SettlementStatus
from ledger.entries import books
from pricing.models import BillingMode


def number_statements(*, book_id: int) -> int:
    """Assign a number to each settled PREPAID cycle of a customer, once; return how many there
    were.
    """
    waiting = Settlement.objects.filter(
        book=book_id,
        billing_mode=BillingMode.PREPAID,
        status=SettlementStatus.SETTLED,
        statement_number=None,
    )
    ids = list(waiting.order_by("settled_at", "pk").values_list("pk", flat=True))
    for settlement_id in ids:
        _number(book_id, settlement_id)
    return len(ids)


@transaction.atomic
def _number(book_id: int, settlement_id: UUID) -> None:
    """Assign a number to a settlement and freeze its document, unless it was numbered meanwhile;
    then no number is used up.

    The book is locked first: its holder may have changed the settlement, and ask for the counter.
    """
    book = books.lock_book(book_id=book_id)
    waiting = Settlement.objects.filter(pk=settlement_id, statement_number=None)
    settlement = waiting.select_related("subscription__customer").first()
    if settlement is None:
        return
    settlement.statement_number = locks.next_number(
        livemode=book.livemode, document=Document.STATEMENT
    )
    kept = statement_documents.freeze(book=book, settlement=settlement)
    customer = settlement.subscription.customer
    document_mail.tell(book=book, customer=customer, kept=kept, now=kept.issued_at)
    settlement.save(update_fields=["statement_number", "content"])
