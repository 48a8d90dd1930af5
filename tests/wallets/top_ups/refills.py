"""What the tests of refills ask, and who fills himself."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from billing.models import Subscription
from ledger.models import Book
from tests import factories
from tests.factories import advance
from wallets.models import AutoRefill, TopUp
from wallets.top_ups import refill

URL = "/v1/wallets/cust_1/auto-refill"
DAY = timedelta(days=1)


def body(**changes: Any) -> dict[str, Any]:
    asked = {"currency": "USD", "threshold": "20", "amount": "50", "enabled": True}
    return {name: value for name, value in (asked | changes).items() if value is not None}


def set_rule(**changes: Any) -> AutoRefill:
    terms: dict[str, Any] = {
        "livemode": False,
        "customer_id": "cust_1",
        "currency": "USD",
        "threshold": Decimal(20),
        "amount": Decimal(50),
        "enabled": True,
    }
    return refill.set_auto_refill(**terms | changes)


def refills() -> list[tuple[str, datetime]]:
    return list(
        TopUp.objects.filter(auto_refill__isnull=False)
        .order_by("created_at", "id")
        .values_list("status", "created_at")
    )


def in_arrears() -> Book:
    """Use 50,001 tokens at .002 without a credit, and settle: 100.002 is owed, and suspends."""
    factories.offering(billing_mode="PREPAID")
    book = factories.clocked_customer()
    subscription = factories.subscription("cust_1")
    advance(book, factories.START + 2 * DAY)
    factories.meter(50_001, factories.START + DAY, "e")
    advance(book, factories.FEBRUARY)
    subscription.refresh_from_db()
    assert subscription.status == "SUSPENDED"
    return book


def refilling(metered: int = 0) -> tuple[Book, Subscription]:
    """A PREPAID customer with 20 that fills itself at 20, which has used so many tokens at .002."""
    factories.offering(billing_mode="PREPAID")
    book = factories.clocked_customer()
    factories.top_up("cust_1", "20")
    subscription = factories.subscription("cust_1")
    advance(book, factories.START + DAY)
    if metered:
        factories.meter(metered, factories.START + timedelta(hours=1), "e")
    set_rule()
    return book, subscription
