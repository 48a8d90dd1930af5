"""Whom a refill charges: who is served or owes, and nobody else."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.db import transaction
from rest_framework.test import APIClient

from billing.finance import verification
from billing.lifecycle import changes
from billing.models import Subscription, SubscriptionStatus
from billing.subscriptions import spend_rules
from pricing.models import TopUpRule
from tests import factories
from tests.factories import advance
from tests.wallets.top_ups.refills import DAY, URL, in_arrears, refilling, refills, set_rule
from wallets.models import AutoRefill, TopUp
from wallets.top_ups import refill

pytestmark = pytest.mark.django_db


def test_a_refill_buys_all_that_is_owed_in_whole_cents() -> None:
    book = in_arrears()
    set_rule()

    assert refill.refill_if_low([book.pk]) == 1

    assert TopUp.objects.get().amount == Decimal("100.01")
    assert factories.available(book) == Decimal("0.008")
    assert Subscription.objects.get().status == "ACTIVE"
    assert verification.verify().ok


@pytest.mark.parametrize("at", ["NOW", "PERIOD_END"])
def test_who_has_cancelled_is_not_charged(api: APIClient, at: str) -> None:
    book, subscription = refilling()

    changes.cancel(livemode=False, subscription_id=subscription.pk, at=at)
    if at == "PERIOD_END":
        AutoRefill.objects.update(switched_off_at=factories.START)
        advance(book, factories.FEBRUARY)
        AutoRefill.objects.update(switched_off_at=None)

    assert refill.refill_if_low([book.pk]) == 0
    assert refills() == []
    assert api.get(URL).json()["enabled"] is False
    advance(book, factories.FEBRUARY + DAY)
    assert refills() == []


def test_until_its_end_a_cancelled_subscription_is_served() -> None:
    book, subscription = refilling()

    changes.cancel(livemode=False, subscription_id=subscription.pk, at="PERIOD_END")

    assert refill.refill_if_low([book.pk]) == 1


def test_who_has_cancelled_and_sets_it_again_is_charged() -> None:
    """As a customer without a subscription, at the very moment of the cancellation."""
    book, subscription = refilling()
    changes.cancel(livemode=False, subscription_id=subscription.pk, at="NOW")

    set_rule()

    assert refill.refill_if_low([book.pk]) == 1
    factories.body(factories.debit("cust_1", "60"))
    assert refill.refill_if_low([book.pk]) == 1
    assert verification.verify().ok


def test_another_subscription_in_the_currency_goes_on() -> None:
    book, subscription = refilling()
    factories.metric("calls")
    factories.offering(
        "calls",
        billing_mode="PREPAID",
        charges=[
            {"code": "calls", "description": "Calls", "model": "PER_UNIT", "metric": "calls",
             "terms": {"unit_price": "1"}},
        ],
    )  # fmt: skip
    factories.subscription("cust_1", "calls")

    changes.cancel(livemode=False, subscription_id=subscription.pk, at="NOW")

    assert refill.refill_if_low([book.pk]) == 1


def test_who_has_left_is_charged_what_is_owed_and_no_more() -> None:
    """30,000 tokens at .002 are 60: the 20 pay, 40 are owed, and not the 50 of the rule."""
    book, subscription = refilling(metered=30_000)
    changes.cancel(livemode=False, subscription_id=subscription.pk, at="NOW")

    assert refill.refill_if_low([book.pk]) == 1

    assert TopUp.objects.get(auto_refill__isnull=False).amount == 40
    assert factories.available(book) == 0
    assert refill.refill_if_low([book.pk]) == 0
    assert AutoRefill.objects.get().switched_off_at is not None
    assert verification.verify().ok


def test_the_smallest_top_up_pays_what_who_has_left_owes() -> None:
    book, subscription = refilling(metered=30_000)
    TopUpRule.objects.create(livemode=False, currency="USD", minimum=45)
    changes.cancel(livemode=False, subscription_id=subscription.pk, at="NOW")

    assert refill.refill_if_low([book.pk]) == 1

    assert TopUp.objects.get(auto_refill__isnull=False).amount == 45


def test_who_is_paused_is_charged_once_it_goes_on() -> None:
    book, subscription = refilling()
    changes.pause(livemode=False, subscription_id=subscription.pk)

    assert refill.refill_if_low([book.pk]) == 0
    advance(book, factories.START + 2 * DAY)
    assert refills() == []
    changes.resume(livemode=False, subscription_id=subscription.pk)

    assert refill.refill_if_low([book.pk]) == 1
    assert [status for status, _ in refills()] == ["SUCCEEDED"]


def test_who_is_suspended_and_owes_nothing_is_not_charged() -> None:
    book, subscription = refilling()
    with transaction.atomic():
        spend_rules.set_status(
            book=book, subscription=subscription, status=SubscriptionStatus.SUSPENDED
        )

    assert refill.refill_if_low([book.pk]) == 0
    assert refills() == []
