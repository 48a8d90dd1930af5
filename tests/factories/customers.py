"""Customers, their clocks, their subscriptions and what they use."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone
from factory.declarations import LazyAttribute, Sequence, SubFactory

from aforo.sandbox.models import TestClock
from aforo.sandbox.services import create_clock
from billing.customers import customers
from billing.jobs import test_clocks
from billing.lifecycle import subscribing
from billing.models import Subscription
from billing.usage import ingest
from ledger.models import Book
from tests.factories.catalogue import offering
from tests.factories.credits import top_up
from tests.factories.making import ServiceFactory
from tests.factories.months import START


class ClockFactory(ServiceFactory[TestClock]):
    class Meta:
        model = TestClock

    livemode = False
    now = START

    @classmethod
    def _create(cls, model_class: type[TestClock], *args: Any, **fields: Any) -> TestClock:
        return create_clock(**fields)


class CustomerFactory(ServiceFactory[Book]):
    """A customer, of which tests want the book."""

    class Meta:
        model = Book

    livemode = False
    customer_id = "cust_1"
    name = LazyAttribute(lambda customer: customer.customer_id.title())
    clock: Any = None

    @classmethod
    def _create(cls, model_class: type[Book], *args: Any, **fields: Any) -> Book:
        clock: TestClock | None = fields.pop("clock")
        pk = None if clock is None else clock.pk
        return customers.create_customer(**fields, test_clock=pk).book


class ClockedCustomerFactory(CustomerFactory):
    """A sandbox customer on a clock of its own, which stands at `clock__now`."""

    clock = SubFactory(ClockFactory)


class SubscriptionFactory(ServiceFactory[Subscription]):
    """A subscription of a customer and an offering that are there."""

    class Meta:
        model = Subscription

    livemode = False
    customer_id = "cust_1"
    offering = "tokens_monthly"

    @classmethod
    def _create(cls, model_class: type[Subscription], *args: Any, **fields: Any) -> Subscription:
        return subscribing.subscribe(**fields)


class EventFactory(ServiceFactory[dict[str, Any]]):
    """A metered event as the vendor's client writes it, with a key of its own."""

    class Meta:
        model = dict
        rename = {
            "customer": "customerId", "metric": "metricName", "name": "idempotencyKey",
            "occurred_at": "occurredAt", "product": "productType",
        }  # fmt: skip
        exclude = ("at",)

    customer = "cust_1"
    metric = "tokens"
    quantity = 1
    # Ordered as they are made, also as text.
    name = Sequence(lambda number: f"event-{number:06}")
    at = START
    occurred_at = LazyAttribute(lambda event: event.at.isoformat())
    product = "API"


def customer(key: str = "cust_1", **terms: Any) -> Book:
    """Create a customer; return its book."""
    return CustomerFactory.make(customer_id=key, **terms)


def clocked_customer(key: str = "cust_1", now: datetime = START, **terms: Any) -> Book:
    """Create a sandbox customer on a clock of its own; return its book."""
    return ClockedCustomerFactory.make(customer_id=key, clock__now=now, **terms)


def sold(key: str, amount: Decimal | int, *, expires_at: datetime) -> Book:
    """Sell cash credits in USD to a customer on a clock."""
    book = clocked_customer(key)
    top_up(key, str(amount), name="sale", expires_at=expires_at)
    return book


def advance(book: Book, to: datetime) -> None:
    """Advance a customer's clock, doing what is due on the way."""
    assert book.test_clock_id is not None
    assert test_clocks.advance(clock_id=book.test_clock_id, livemode=False, to=to).done
    book.refresh_from_db()


def set_clock(book: Book, now: datetime) -> None:
    """Set a customer's clock without doing what is due, as where nobody sweeps."""
    assert book.test_clock_id is not None
    TestClock.objects.filter(pk=book.test_clock_id).update(now=now)


def subscription(key: str = "cust_1", code: str = "tokens_monthly", **terms: Any) -> Subscription:
    """Subscribe a sandbox customer."""
    return SubscriptionFactory.make(customer_id=key, offering=code, **terms)


def subscribed(
    mode: str = "HYBRID",
    *,
    money: str = "",
    coupon: str | None = None,
    country: str = "",
    **plan: Any,
) -> Book:
    """Subscribe a new customer on a clock, with so much cash, to a new offering of these terms."""
    offering(billing_mode=mode, **plan)
    book = clocked_customer(country=country)
    if money:
        top_up(book.key, money)
    subscription(book.key, coupon=coupon)
    return book


def subscribed_since(days: int, *keys: str) -> Book:
    """Subscribe new customers as of so many days ago, by the clock on the wall; return the last."""
    for key in keys:
        book = customer(key)
        subscription(key, starts_at=timezone.now() - timedelta(days=days))
    return book


def event(key: str, quantity: object, name: str, at: datetime, metric: str = "tokens") -> object:
    """Write a metered event as the vendor's client does."""
    return EventFactory.make(customer=key, quantity=quantity, name=name, at=at, metric=metric)


def meter(
    quantity: object,
    at: datetime,
    name: str = "",
    *,
    key: str = "cust_1",
    metric: str = "tokens",
    livemode: bool = False,
    **properties: Any,
) -> None:
    """Send a metered event, which is received at the time of the customer's clock."""
    named = {"name": name} if name else {}
    sent = EventFactory.make(customer=key, metric=metric, quantity=quantity, at=at, **named)
    outcome = ingest.ingest(
        livemode=livemode, events=[sent | properties], received_at=timezone.now()
    )
    assert outcome.accepted == 1, outcome.errors


def person(name: str) -> User:
    """Return a member of staff, created if need be."""
    return User.objects.get_or_create(username=name, defaults={"is_staff": True})[0]
