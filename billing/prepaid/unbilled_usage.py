"""Metered usage of the open cycles: what of it is to be invoiced, and what credits pay first."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from aforo.money import ZERO
from aforo.sandbox.services import now_for
from billing.calculation.calculation import Calculation
from billing.prepaid import arrears
from billing.settlement import usage_burn
from ledger.models import Book


def overage(book: Book, currency: str) -> Decimal:
    """Return what usage of the open cycles leaves to be invoiced so far, tax included, as usage in
    real time counts it against the overage limit. The book must be locked.
    """
    return sum((draft.to_invoice for draft in _forecasts(book, currency)), ZERO)


def arrears_so_far(book: Book, currency: str) -> Decimal:
    """Return what usage of the open cycles leaves to be owed so far. The book must be locked."""
    return sum((draft.arrears for draft in _forecasts(book, currency)), ZERO)


def _forecasts(book: Book, currency: str) -> Iterator[Calculation]:
    """Price each cycle that is open now, paid by the credits there are."""
    now = now_for(book)
    until = now + usage_burn.MICROSECOND
    return (
        usage_burn.forecast(
            book=book,
            subscription=subscription,
            until=until,
            pays=usage_burn.payers(subscription, now),
        )
        for subscription in usage_burn.open_cycles(book=book, at=until)
        if subscription.version.plan.currency == currency and subscription.current_ends_at > now
    )


def pay_first(book: Book) -> None:
    """Burn what was metered so far, then pay what is owed, from the customer's credits.

    The book is locked; runs in the transaction of a refund, so that what a customer has used is not
    paid out.
    """
    usage_burn.burn_through(book=book, until=now_for(book))
    arrears.pay_arrears(book)
