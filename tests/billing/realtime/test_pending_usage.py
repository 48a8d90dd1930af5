"""What a wallet read shows as pending: of open cycles, and of those that wait to be settled."""

from __future__ import annotations

from datetime import timedelta

import pytest
from rest_framework.test import APIClient

from billing.lifecycle import changes
from billing.models import Subscription
from tests import factories
from tests.factories import FEBRUARY, START

pytestmark = pytest.mark.django_db


def pending(api: APIClient) -> dict[str, str]:
    shown = api.get("/v1/wallets/cust_1").json()
    units = {each["metric"]: each["pending"] for each in shown["unit_wallets"]}
    return {each["currency"]: each["pending"] for each in shown["wallets"]} | units


def test_the_last_cycle_of_a_cancelled_subscription_is_pending_until_it_is_settled(
    api: APIClient,
) -> None:
    """5,000 tokens at .002 in its grace: 10.00."""
    book = factories.subscribed(money="50", spec={"grace_hours": 24})
    ended = Subscription.objects.get()
    changes.cancel(livemode=False, subscription_id=ended.pk, at="PERIOD_END")
    factories.set_clock(book, FEBRUARY + timedelta(hours=1))
    assert pending(api)["USD"] == "0"
    ended.refresh_from_db()
    assert ended.status == "CANCELLED"

    factories.meter(5_000, START)

    assert pending(api)["USD"] == "10"
    factories.advance(book, FEBRUARY + timedelta(hours=24))
    assert pending(api)["USD"] == "0"
    assert factories.available(book) == 40


def test_much_usage_is_priced_though_it_is_too_long_to_add_up_under_a_lock(
    api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """30 tokens at .002, of which units pay 10, in 30 events where 20 are too many: .04."""
    monkeypatch.setattr("billing.usage.rollup_upkeep.MANY", 10)
    factories.subscribed(money="50")
    factories.grant_units("cust_1", "10")
    for _ in range(30):
        factories.meter(1, START)

    assert pending(api) == {"USD": "0.04", "tokens": "10"}
