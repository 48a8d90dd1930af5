"""Credits that came back to lots whose time was over."""

from __future__ import annotations

from datetime import datetime, timedelta

from aforo.sandbox.services import now_for
from billing.settlement import usage_burn
from ledger.models import Book

A_MOMENT = timedelta(minutes=1)


def pay_with_returned(book: Book, expired_at: datetime, at: datetime) -> bool:
    """Pay the usage of their lifetime from credits that came back to expired lots; return whether
    the rest lapses now: not while an unsettled cycle that ended before they expired may still burn
    it. What other lots had paid of that usage returns to them.

    The book is locked; runs in the transaction of the release or reversal.
    """
    paid_by_them = usage_burn.open_cycles(book=book, at=expired_at)
    for subscription in paid_by_them:
        usage_burn.burn(
            book,
            subscription,
            until=expired_at,
            pays=usage_burn.lived_until(expired_at),
            may_lower=usage_burn.lapses_at(expired_at),
            received_by=expired_at + usage_burn.lapse_grace(book=book),
            occurred_at=at,
            counted=usage_burn.NOTHING,
        )
    now = now_for(book)
    # A sweep that comes late leaves that to the next burn at the customer's now.
    for subscription in paid_by_them if now - at < A_MOMENT else ():
        usage_burn.burn(
            book,
            subscription,
            until=now + usage_burn.MICROSECOND,
            pays=usage_burn.payers(subscription, now),
            may_lower=lambda lot: True,
            occurred_at=now,
            counted=usage_burn.NOTHING,
        )
    return all(cycle.current_ends_at > expired_at for cycle in paid_by_them)
