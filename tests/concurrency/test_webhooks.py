"""Webhooks with several workers at once, some of which die: nothing is lost, nothing overtakes."""

from __future__ import annotations

import itertools
import threading
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone

from aforo.webhooks import delivery, locks, sending
from aforo.webhooks.models import DeliveryStatus, WebhookDelivery, WebhookStream
from tests.concurrency.threads import at_once
from tests.webhooks.receivers import Receiver, receiver
from tests.webhooks.sent import endpoint, happen

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("threads")]

CUSTOMERS, EACH, WORKERS = 4, 6, 3


class Dies(BaseException):
    """The death of a worker, which no handler catches."""


class Mortal:
    """Sends; of ten messages' workers one dies before, and one after that."""

    def __init__(self) -> None:
        self.post = sending.post
        self.turns = itertools.count(1)
        self.sent = 0

    def __call__(self, url: str, **message: Any) -> sending.Outcome:
        turn = next(self.turns)
        if turn % 10 == 5:
            raise Dies
        outcome = self.post(url, **message)
        self.sent += 1
        if turn % 10 == 0:
            raise Dies
        return outcome


def work(endpoint_id: UUID, now: datetime) -> None:
    """Deliver what is due until nothing is, or until death."""
    with suppress(Dies):
        while delivery.deliver_next(endpoint_id=endpoint_id, clock=lambda: now):
            continue


def test_workers_that_die_lose_nothing_and_overtake_nothing(
    other: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, _ = endpoint(other.url)
    for number, customer in itertools.product(range(EACH), range(CUSTOMERS)):
        happen(f"cust_{customer}", number)
    mortal = Mortal()
    monkeypatch.setattr(sending, "post", mortal)
    now = timezone.now()
    delivery.publish(clock=lambda: now)

    for _ in range(20):
        moment = now = now + delivery.LEASE
        at_once(WORKERS, lambda _, moment=moment: work(made.pk, moment))  # type: ignore[misc]

    for customer in range(CUSTOMERS):
        its = [e["data"]["number"] for e in other.got if e["customer_id"] == f"cust_{customer}"]
        assert its == sorted(its)
        assert set(its) == set(range(EACH))
    # Some were sent twice: by workers who died before they could record it.
    assert mortal.sent == len(other.got) > CUSTOMERS * EACH
    assert {row.status for row in WebhookDelivery.objects.all()} == {DeliveryStatus.DELIVERED}
    assert not WebhookStream.objects.exclude(due_at=None).exists()


def deliver() -> None:
    try:
        delivery.deliver_due(clock=timezone.now)
    finally:
        connection.close()


def test_a_slow_endpoint_holds_up_no_other(other: Receiver) -> None:
    """Each has a thread: the quick one is served while the slow one waits."""
    with receiver() as slow:
        slow.hangs.clear()
        endpoint(slow.url)
        endpoint(other.url)
        happen("a")
        both = threading.Thread(target=deliver)
        both.start()
        served = threading.Event()
        for _ in range(600):
            if other.got and slow.got:
                served.set()
                break
            both.join(0.05)
        alive = both.is_alive()
        slow.hangs.set()
        both.join()

    assert served.is_set()
    assert alive
    assert list(WebhookDelivery.objects.values_list("status", flat=True)) == ["DELIVERED"] * 2


def test_what_comes_while_a_stream_ends_is_not_forgotten(other: Receiver) -> None:
    made, _ = endpoint(other.url)

    def work(number: int) -> None:
        for n in range(10):
            if number == 0:
                happen("a", n)
                delivery.publish(clock=timezone.now)
            else:
                delivery.deliver_to(endpoint_id=made.pk, clock=timezone.now)

    at_once(3, work)
    delivery.deliver_to(endpoint_id=made.pk, clock=timezone.now)

    assert [event["data"]["number"] for event in other.got] == list(range(10))
    assert locks.claim_stream(
        endpoint_id=made.pk, now=timezone.now(), until=timezone.now(), lease=made.pk
    ) is None  # fmt: skip
