"""Numbering of documents, which comes last: the counters are shared by all, and are locked after
books, coupons and campaigns, statements before credit notes and invoices.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial

from django.db.models import Q

from aforo.database.after_commit import after_commit
from billing.invoicing import (
    credit_note_documents,
    customer_credit,
    earlier_documents,
    invoices,
    statement_numbers,
)
from billing.models import CreditNote, Invoice, InvoiceStatus, Settlement, SettlementStatus
from pricing.models import BillingMode


class _Waiting(threading.local):
    """The books of this thread whose documents are numbered as the outermost block ends."""

    books: dict[int, datetime] | None = None


_WAITING = _Waiting()


@contextmanager
def at_the_end() -> Iterator[None]:
    """Assign the numbers of the documents of a block when it ends, in its transaction; an inner
    block leaves that to the outer one. Nothing else may be locked after it.
    """
    if _WAITING.books is not None:
        yield
        return
    _WAITING.books = {}
    try:
        yield
        for book_id, now in sorted(_WAITING.books.items()):
            number(book_id=book_id, now=now)
    finally:
        _WAITING.books = None


def later(*, book_id: int, now: datetime) -> None:
    """Assign the numbers of a customer's documents at the end of the `at_the_end` block, or,
    outside of one, once this has committed; the sweep repeats what is lost.
    """
    if _WAITING.books is not None:
        _WAITING.books[book_id] = now
    else:
        after_commit(
            f"numbering documents of book {book_id}", partial(number, book_id=book_id, now=now)
        )


def number(*, book_id: int, now: datetime) -> int:
    """Assign the numbers of all of a customer's documents that wait for one; return how many there
    were.
    """
    numbered = statement_numbers.number_statements(book_id=book_id)
    numbered += credit_note_documents.number_notes(book_id=book_id)
    return numbered + number_invoices(book_id=book_id, now=now)


def number_invoices(*, book_id: int, now: datetime) -> int:
    """Issue the drafts of a customer that are due, and pay them from its credit where it wants
    that; return how many there were.
    """
    issued = invoices.finalize_drafts(book_id=book_id, now=now)
    if issued:
        customer_credit.apply_by_itself(book_id=book_id, now=now)
    return issued


def catch_up(*, book_id: int, now: datetime) -> int:
    """Assign the numbers that wait, and freeze the documents of an earlier version; return how many
    there were.
    """
    frozen = earlier_documents.freeze_missing(book_id=book_id)
    return frozen + number(book_id=book_id, now=now)


def unnumbered_books(*, now: datetime) -> list[int]:
    """Return the books with a document that was billed but not numbered, because a process was
    killed, or numbered by a version that did not keep it; or whose draft is to be final by `now`.
    Customers on a test clock wait for their clock.
    """
    waiting = Settlement.objects.filter(
        billing_mode=BillingMode.PREPAID, status=SettlementStatus.SETTLED, statement_number=None
    )
    drafts = Invoice.objects.filter(
        Q(finalizes_at=None) | Q(finalizes_at__lte=now, customer__book__test_clock=None),
        status=InvoiceStatus.DRAFT,
    )
    books = {*waiting.values_list("book", flat=True), *drafts.values_list("customer", flat=True)}
    books.update(CreditNote.objects.filter(number=None).values_list("customer", flat=True))
    books.update(earlier_documents.undocumented_invoices().values_list("customer", flat=True))
    books.update(earlier_documents.undocumented_statements().values_list("book", flat=True))
    return sorted(books)
