"""The allowance for losses: what open invoices need by their age, customer by customer, and its
posting at a month's end (docs/accounting.md#e39, docs/decisions.md#d600).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from django.db import connection, transaction

from aforo import money
from aforo.money import ZERO
from billing.finance import open_invoices
from billing.finance.open_invoices import OpenInvoice
from ledger import posting_rules
from ledger.controls import provisions
from ledger.controls.provisions import Matrices
from ledger.entries import books as ledger_books
from ledger.entries import entries
from ledger.models import Book, LedgerEvent
from ledger.posting_rules.parts import LOSS_ALLOWANCE
from ledger.reports.report_table import ReportScope

BOOKS_AT_ONCE = 100
HUNDRED = Decimal(100)

_STANDS = """
    SELECT e.book_id, p.currency,
        sum(CASE p.credit_id WHEN %(account)s THEN p.amount ELSE -p.amount END)
    FROM ledger_posting p
    JOIN ledger_entry e ON e.id = p.entry_id AND e.accounting_date <= %(until)s
    JOIN ledger_book b ON b.id = e.book_id AND b.livemode = %(livemode)s
    WHERE %(account)s IN (p.debit_id, p.credit_id)
    GROUP BY e.book_id, p.currency
"""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a customer's open invoices need set aside in a currency, and what 1150 has."""

    book_id: int
    currency: str
    needed: Decimal
    stands: Decimal


def of_invoice(invoice: OpenInvoice, matrices: Matrices) -> Decimal:
    """Return what the matrix in force sets aside for an invoice; nothing of an overpaid one."""
    matrix = provisions.of_customer(matrices, book_id=invoice.book_id, currency=invoice.currency)
    if matrix is None:
        return ZERO
    percent: Decimal = getattr(matrix, invoice.age)
    return money.proportion(max(invoice.owed, ZERO), percent, HUNDRED)


def of_day(*, livemode: bool, until: date) -> list[Allowance]:
    """Return, of each customer and currency that a matrix is in force for, what is needed at the
    end of a day and what stands on 1150.
    """
    matrices = provisions.in_force(livemode=livemode, on=until)
    if not matrices:
        return []
    scope = ReportScope(
        livemode=livemode, starts_on=until.replace(day=1), ends_on=until + timedelta(days=1)
    )
    needed: dict[tuple[int, str], Decimal] = defaultdict(Decimal)
    with transaction.atomic():
        for each in open_invoices.read(scope):
            needed[each.book_id, each.currency] += of_invoice(each, matrices)
    stands = _stands(livemode=livemode, until=until)
    return [
        Allowance(book, currency, needed[book, currency], stands.get((book, currency), ZERO))
        for book, currency in sorted({*needed, *stands})
        if provisions.of_customer(matrices, book_id=book, currency=currency) is not None
    ]


@money.exact
def adjust(*, livemode: bool, until: date, at: datetime) -> int:
    """Adjust 1150 of each customer to what is needed at the end of a day; `at` is the moment just
    after it. Return the number of entries.

    Safe to repeat and to kill. Customers without a matrix, and the company's own book, keep what
    was set aside by hand.
    """
    due: dict[int, list[Allowance]] = defaultdict(list)
    for each in of_day(livemode=livemode, until=until):
        if each.needed != each.stands:
            due[each.book_id].append(each)
    books = sorted(due)
    return sum(
        _bring_to({book: due[book] for book in books[n : n + BOOKS_AT_ONCE]}, until=until, at=at)
        for n in range(0, len(books), BOOKS_AT_ONCE)
    )


@transaction.atomic
def _bring_to(due: dict[int, list[Allowance]], *, until: date, at: datetime) -> int:
    """Post the differences of some customers, an entry each; what stands is read again, locked."""
    locked = ledger_books.lock_books(ids=list(due))
    livemode = next(iter(locked.values())).livemode
    stands = _stands(livemode=livemode, until=until)
    drafts = [_entry(locked[book], of, stands, until=until, at=at) for book, of in due.items()]
    wanted = [draft for draft in drafts if draft.lines]
    entries.append(wanted)
    return len(wanted)


def _entry(
    book: Book,
    of: Sequence[Allowance],
    stands: dict[tuple[int, str], Decimal],
    *,
    until: date,
    at: datetime,
) -> entries.EntryDraft:
    lines = []
    for each in of:
        change = each.needed - stands.get((book.pk, each.currency), ZERO)
        lines += posting_rules.allowance_adjusted(change=change, currency=each.currency)
    return entries.EntryDraft(
        book=book,
        event=LedgerEvent.ALLOWANCE_ADJUSTED,
        occurred_at=at,
        document={"period": f"{until:%Y-%m}"},
        lines=lines,
        at_period_end=True,
    )


def _stands(*, livemode: bool, until: date) -> dict[tuple[int, str], Decimal]:
    """Return what 1150 has at the end of a day, by book and currency."""
    asked: dict[str, str | bool | date] = {
        "account": LOSS_ALLOWANCE,
        "livemode": livemode,
        "until": until,
    }
    with connection.cursor() as cursor:
        cursor.execute(_STANDS, asked)
        return {(book, currency): amount for book, currency, amount in cursor.fetchall()}
