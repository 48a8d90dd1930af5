"""What is free comes once per customer and offering: trials, once-only grants; and one live
subscription of an offering at a time, unless it says otherwise.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from rest_framework.test import APIClient

from billing.finance import verification
from billing.lifecycle import changes
from billing.models import OneTimeBenefit, Subscription, SubscriptionStatus
from billing.subscriptions import once_only
from ledger.models import Book
from pricing.offerings import offerings
from tests import factories
from tests.factories import START, advance

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
WELCOME = {"kind": "PROMO", "amount": Decimal(100), "recurrence": "ONCE"}
MONTHLY = {"kind": "PROMO", "amount": Decimal(5), "recurrence": "EVERY_CYCLE"}


def sold(**terms: Any) -> Book:
    """Sell 100.00 once and 5.00 a cycle, with a trial of 7 days; no metric is charged."""
    fee = {"code": "fee", "model": "FLAT_RATE", "terms": {"flat_fee": "0.01"}}
    factories.offering("plan_a", charges=[fee], grants=[WELCOME, MONTHLY], trial_days=7, **terms)
    return factories.clocked_customer()


def subscribe(code: str = "plan_a") -> Subscription:
    return factories.subscription("cust_1", code)


def cancel(subscription: Subscription) -> None:
    changes.cancel(livemode=False, subscription_id=subscription.pk, at="NOW")


def test_free_credits_and_trials_come_once() -> None:
    """Subscribe, cancel, again: 105.00 and 7 days free at first, then neither, but the 5.00."""
    book = sold()
    first = subscribe()
    assert factories.available(book) == 105
    assert first.trial_ends_at == START + 7 * DAY
    advance(book, START + DAY)
    cancel(first)
    assert factories.available(book) == 0

    for _ in range(2):
        again = subscribe()
        assert again.trial_ends_at is None
        assert factories.available(book) == 5
        advance(book, advance_to(book))
        cancel(again)

    assert OneTimeBenefit.objects.count() == 2
    assert verification.verify().ok


def advance_to(book: Book) -> Any:
    book.refresh_from_db()
    assert book.test_clock is not None
    return book.test_clock.now + DAY


def test_an_offering_may_give_again() -> None:
    book = sold()
    offerings.update_offering(livemode=False, code="plan_a", changes={"gives_again": True})
    cancel(subscribe())
    advance(book, START + DAY)

    again = subscribe()

    assert again.trial_ends_at == START + 8 * DAY
    assert factories.available(book) == 105


def test_another_offering_and_another_customer_are_apart() -> None:
    book = sold()
    fee = {"code": "fee", "model": "FLAT_RATE", "terms": {"flat_fee": "0.01"}}
    factories.offering("plan_b", charges=[fee], grants=[WELCOME], trial_days=3)
    other = factories.clocked_customer("cust_2")
    subscribe()

    subscribe("plan_b")
    factories.subscription("cust_2", "plan_a")

    assert factories.available(book) == 205
    assert factories.available(other) == 105


def test_one_live_subscription_at_a_time(api: APIClient) -> None:
    book = sold()
    first = subscribe()
    before = factories.everything()
    body = {"customer_id": "cust_1", "offering": "plan_a"}

    refused = api.post("/v1/subscriptions", body)

    assert (refused.status_code, refused.json()["code"]) == (409, "already_subscribed")
    assert factories.everything() == before
    assert Subscription.objects.count() == 1
    advance(book, START + DAY)
    cancel(first)
    assert api.post("/v1/subscriptions", body).status_code == 201


@pytest.mark.parametrize("status", [s for s in SubscriptionStatus if s != "CANCELLED"])
def test_in_every_state_that_is_not_over(status: SubscriptionStatus) -> None:
    sold()
    Subscription.objects.filter(pk=subscribe().pk).update(status=status)

    with pytest.raises(once_only.AlreadySubscribed):
        subscribe()


def test_an_offering_may_be_had_several_times() -> None:
    """Six at once, and the welcome once."""
    book = sold(several_per_customer=True)

    for _ in range(6):
        subscribe()

    assert Subscription.objects.filter(is_single=False).count() == 6
    assert factories.available(book) == 100 + 6 * 5


def test_the_database_refuses_a_second_one() -> None:
    sold()
    subscribe()
    second = Subscription.objects.get()
    fields = {
        f.attname: getattr(second, f.attname)
        for f in Subscription._meta.concrete_fields
        if not f.primary_key
    }

    with pytest.raises(IntegrityError, match="billing_subscription_single"), transaction.atomic():
        Subscription.objects.create(**fields)
    given = OneTimeBenefit.objects.first()
    assert given is not None
    with pytest.raises(IntegrityError, match="billing_onetimebenefit_once"), transaction.atomic():
        OneTimeBenefit.objects.create(
            customer=given.customer,
            offering=given.offering,
            benefit=given.benefit,
            subscription=second,
        )


def test_the_offering_says_so(api: APIClient) -> None:
    sold()

    changed = api.patch("/v1/offerings/plan_a", {"gives_again": True, "several_per_customer": True})

    assert changed.status_code == 200, changed.content
    assert (changed.json()["gives_again"], changed.json()["several_per_customer"]) == (True, True)
