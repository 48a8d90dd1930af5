"""What a customer has on an account, so that no correction by hand takes what is not there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from django.db.models import Case, F, Q, Sum, When

from aforo import money
from aforo.errors import FieldError, Invalid
from aforo.money import ZERO
from ledger.models import Book, Posting
from ledger.posting_rules import PostingLine, manual_pairs


def check_borne(*, book: Book, lines: Sequence[PostingLine], on: date) -> None:
    """Check that a customer has, on the day of a correction and now, what is taken from it.

    Fees that were never billed cannot be earned by hand, nor credit that nobody is owed be paid.
    Raises: Invalid, naming the account.
    """
    faults = []
    for account, currency in dict.fromkeys((line.debit, line.currency) for line in lines):
        if account not in manual_pairs.BORNE:
            continue
        taken = sum((_taken(line, account, currency) for line in lines), ZERO)
        has = min(_balance(book, account, currency, on), _balance(book, account, currency))
        if taken > has:
            detail = (
                f"{book.key} has {money.plain(max(has, ZERO))} {currency} on {account}; the "
                f"correction would take {money.plain(taken)}."
            )
            faults.append(FieldError("/lines", "insufficient_balance", detail))
    if faults:
        raise Invalid(faults)


def _taken(line: PostingLine, account: str, currency: str) -> Decimal:
    if line.currency != currency:
        return ZERO
    sides = (line.debit == account) - (line.credit == account)
    return line.amount * sides


def _balance(book: Book, account: str, currency: str, on: date | None = None) -> Decimal:
    """Sum what a customer's book has in credit on an account, now or at the end of a day."""
    postings = Posting.objects.filter(Q(debit=account) | Q(credit=account), book=book)
    if on is not None:
        postings = postings.filter(entry__accounting_date__lte=on)
    signed = Sum(Case(When(credit=account, then=F("amount")), default=-F("amount")))
    total: Decimal | None = postings.filter(currency=currency).aggregate(total=signed)["total"]
    return total or ZERO
