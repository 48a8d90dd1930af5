"""Customers whose reservations of usage outlive a stop, and what is looked at."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from rest_framework.test import APIClient

from billing.lifecycle import changes
from billing.models import Subscription
from ledger.models import Book
from tests import factories
from tests.factories import subscribed
from wallets.models import CreditLot, Hold

DAY = timedelta(days=1)
STOPS = ["pause", "cancel"]
MINUTE = timedelta(minutes=1)


def stop(how: str) -> None:
    subscription = Subscription.objects.get()
    if how == "pause":
        changes.pause(livemode=False, subscription_id=subscription.pk)
    else:
        changes.cancel(livemode=False, subscription_id=subscription.pk, at="NOW")


def resume() -> None:
    changes.resume(livemode=False, subscription_id=Subscription.objects.get().pk)


def funded(mode: str = "PREPAID", money: str = "10", **terms: Any) -> Book:
    book = subscribed(mode, **terms)
    factories.grant_units("cust_1", "2000")
    factories.top_up("cust_1", money)
    return book


def there(api: APIClient) -> Any:
    (wallet,) = api.get("/v1/wallets/cust_1").json()["wallets"]
    return {name: wallet[name] for name in ("available", "held", "by_kind")}


def nothing_is_held() -> bool:
    held = sum((hold.open for hold in Hold.objects.all()), Decimal(0))
    return held == 0 and not CreditLot.objects.filter(held__gt=0).exists()
