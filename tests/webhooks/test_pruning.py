"""Old events go with their deliveries, and nothing that is promised does."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from aforo.webhooks import delivery, endpoints, feed, pruning
from aforo.webhooks.models import OutboxEvent, WebhookDelivery, WebhookStream
from billing.jobs import due_work
from tests.webhooks.receivers import Receiver
from tests.webhooks.sent import START, Time, endpoint, happen

pytestmark = pytest.mark.django_db


def happened(customer: str, days_ago: float) -> OutboxEvent:
    """Write an event as if it had been written so many days ago."""
    at = timezone.now() - timedelta(days=days_ago)
    known = set(OutboxEvent.objects.values_list("pk", flat=True))
    happen(customer)
    (event,) = OutboxEvent.objects.exclude(pk__in=known)
    rest = event.pk.int & ((1 << 80) - 1)
    OutboxEvent.objects.filter(pk=event.pk).update(
        id=UUID(int=int(at.timestamp() * 1_000) << 80 | rest), created_at=at
    )
    return OutboxEvent.objects.exclude(pk__in=known).get()


def prune() -> int:
    return pruning.prune(now=timezone.now())


def kept() -> list[str]:
    return list(OutboxEvent.objects.order_by("position").values_list("customer_id", flat=True))


def test_what_is_older_than_it_is_kept_goes_with_its_deliveries(
    settings: Any, other: Receiver
) -> None:
    settings.EVENTS_KEPT_DAYS = 100
    endpoint(other.url)
    for customer, days_ago in (("a", 101), ("b", 100.1), ("c", 99), ("d", 0)):
        happened(customer, days_ago)
    Time().deliver()
    row = WebhookDelivery.objects.get(event__customer_id="a")
    delivery.replay(delivery=row, now=START)
    Time().deliver()
    after = feed.top()

    swept = due_work.sweep(now=timezone.now(), clock=timezone.now)

    assert swept.failures == []
    assert kept() == ["c", "d"]
    customers = WebhookDelivery.objects.order_by("id").values_list("event__customer_id", flat=True)
    assert list(customers) == ["c", "d"]
    # Of the replay nothing is left; the customers' own streams go on.
    assert set(WebhookStream.objects.values_list("lane", flat=True)) == {""}
    happen("a")
    page = feed.read(livemode=False, after=after, limit=10, now=timezone.now())
    assert [event.customer_id for event in page.events] == ["a"]
    assert prune() == 0


def test_the_feed_keeps_what_it_promises_whatever_is_set(settings: Any) -> None:
    settings.EVENTS_KEPT_DAYS = 1
    for customer, days_ago in (("a", 90.1), ("b", 89), ("c", 2)):
        happened(customer, days_ago)
    feed.publish(now=START)

    assert (prune(), kept()) == (1, ["b", "c"])


def test_the_last_event_and_what_has_no_position_yet_stay() -> None:
    happened("a", 500)
    happened("b", 500)
    feed.publish(now=START)
    top = feed.top()
    happened("late", 500)

    assert prune() == 1
    assert set(kept()) == {"b", "late"}
    assert feed.top() == top


def test_what_an_endpoint_waits_for_stays_until_it_is_deleted(other: Receiver) -> None:
    made, _ = endpoint(other.url, customer_id="a")
    happened("a", 500)
    happened("b", 500)
    happened("c", 1)
    feed.publish(now=START)
    endpoints.switch_off(endpoint_id=made.pk, reason=endpoints.BY_HAND, now=START)

    assert (prune(), kept()) == (1, ["a", "c"])
    endpoints.remove(endpoint=made, now=START)
    assert (prune(), kept()) == (1, ["c"])
    assert not WebhookDelivery.objects.exists()
