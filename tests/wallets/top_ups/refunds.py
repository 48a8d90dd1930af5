"""What the tests of refunds ask, and what they look at."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from aforo.errors import DomainError
from ledger.models import Book
from tests import factories
from tests.wallets import actions
from wallets.models import CreditLot
from wallets.top_ups import refunds

ZERO = Decimal(0)


def refund(amount: str, *, name: str = "", currency: str = "USD") -> Any:
    """Pay cash credits back and read the answer."""
    answer = refunds.refund(
        livemode=False,
        customer_id="cust_1",
        key=name or actions.fresh("refund"),
        amount=Decimal(amount),
        currency=currency,
        reason="test",
    )
    return factories.body(answer)


def refundable() -> str:
    """Return how much would be refundable, by asking for more than anybody has, and check that
    nothing changed.
    """
    before = factories.everything()
    with pytest.raises(DomainError) as caught:
        refund("1000000")
    assert (caught.value.status, caught.value.code) == (402, "insufficient_funds")
    assert factories.everything() == before
    return str(caught.value.extra["available"])


def bundle_with(bonus_burned: str) -> Book:
    """100 + 20 for 100.00, with so much of the bonus burned."""
    book = factories.clocked_customer()
    actions.bundle("100", "20")
    if bonus_burned != "0":
        factories.body(factories.debit("cust_1", bonus_burned, strategy="BONUS"))
    return book


def carried() -> list[tuple[str, Decimal, Decimal]]:
    """List kind, what remains and what it still carries in cents."""
    lots = CreditLot.objects.order_by("granted_at", "id")
    return [(lot.kind, lot.remaining, round(lot.carrying_remaining, 2)) for lot in lots]
