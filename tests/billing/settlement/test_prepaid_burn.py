"""Prepaid usage is paid within minutes, late or early, and never twice."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from billing.finance import verification
from billing.jobs import due_work
from billing.models import Subscription
from billing.prepaid import reactivation
from billing.settlement import usage_burn
from ledger.entries import books
from ledger.models import Entry
from tests import factories
from tests.billing.settlement.usage_burns import DAY, totals
from tests.factories import FEBRUARY, START, advance, meter, subscribed

pytestmark = pytest.mark.django_db


def test_prepaid_usage_is_paid_within_minutes_and_suspends_when_it_cannot_be() -> None:
    book = subscribed("PREPAID")
    factories.top_up("cust_1", "10")
    meter(3_000, START)
    advance(book, START + DAY)
    assert factories.available(book) == 4
    meter(3_000, START + DAY)

    advance(book, START + 2 * DAY)

    assert factories.available(book) == 0
    assert Subscription.objects.get().status == "SUSPENDED"
    factories.top_up("cust_1", "1", name="not enough")
    assert Subscription.objects.get().status == "SUSPENDED"
    factories.top_up("cust_1", "5")
    assert Subscription.objects.get().status == "ACTIVE"
    assert factories.available(book) == 4
    advance(book, FEBRUARY)
    assert (totals()["total"], totals()["arrears"]) == ("12", "0")
    assert totals()["from_wallet"]["CASH"] == "12"
    assert verification.verify().ok


def test_the_sweep_burns_prepaid_usage_at_most_every_five_minutes() -> None:
    factories.offering(billing_mode="PREPAID")
    book = factories.customer()
    factories.subscription("cust_1")
    factories.top_up("cust_1", "10")
    meter(1_000, timezone.now(), "first")

    due_work.sweep(now=timezone.now(), clock=timezone.now)
    assert factories.available(book) == 8
    meter(1_000, timezone.now(), "second")
    due_work.sweep(now=timezone.now(), clock=timezone.now)
    assert factories.available(book) == 8

    assert reactivation.due_books(now=timezone.now() + timedelta(minutes=5)) == [book.pk]


def test_usage_that_comes_late_is_burned_by_the_next_sweep() -> None:
    """What occurred before the last burn and came after it waits for no other event."""
    factories.offering(billing_mode="PREPAID")
    book = factories.customer()
    factories.subscription("cust_1")
    factories.top_up("cust_1", "10")
    before = timezone.now()
    due_work.sweep(now=timezone.now(), clock=timezone.now)
    burned_through = Subscription.objects.get().burned_through
    assert burned_through is not None
    assert burned_through > before
    in_five_minutes = burned_through + timedelta(minutes=5)
    assert reactivation.due_books(now=in_five_minutes) == []

    meter(1_000, before, "late")

    assert reactivation.due_books(now=in_five_minutes) == [book.pk]
    reactivation.burn_prepaid(book_id=book.pk)
    assert factories.available(book) == 8
    assert reactivation.due_books(now=in_five_minutes + timedelta(minutes=5)) == []


def test_usage_a_little_ahead_is_burned_once_its_time_has_come() -> None:
    factories.offering(billing_mode="PREPAID")
    book = factories.customer()
    factories.subscription("cust_1")
    factories.top_up("cust_1", "10")
    meter(1_000, timezone.now() + timedelta(minutes=4), "ahead")

    due_work.sweep(now=timezone.now(), clock=timezone.now)

    assert factories.available(book) == 10
    assert reactivation.due_books(now=timezone.now() + timedelta(minutes=5)) == [book.pk]


def test_a_months_end_is_burned_without_later_usage_and_takes_nothing_back() -> None:
    """Close of January while the cycle runs to the 15th: 5.00 of it by the 31st."""
    middle = START + 14 * DAY
    factories.offering()
    book = factories.clocked_customer(now=middle)
    factories.subscription("cust_1")
    factories.top_up("cust_1", "4")
    meter(2_500, middle)
    advance(book, FEBRUARY + DAY)
    meter(1_000, FEBRUARY)

    with transaction.atomic():
        locked = books.lock_book(book_id=book.pk)
        ((_, draft),) = usage_burn.burn_through(book=locked, until=FEBRUARY)

    assert (draft.total, draft.to_invoice) == (5, 1)
    assert factories.available(book) == 0
    assert str(Entry.objects.get(event="USAGE_BURNED").accounting_date) == "2026-01-31"
