"""Messages as another system gets them: signed, in order, repeated, and given up."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from django.conf import LazySettings
from django.core import mail
from standardwebhooks import WebhookVerificationError

from aforo.errors import Conflict
from aforo.webhooks import delivery, endpoints, feed, locks, sending
from aforo.webhooks.models import OutboxEvent, WebhookDelivery, WebhookEndpoint, WebhookStream
from tests.webhooks.receivers import Receiver
from tests.webhooks.sent import START, Time, endpoint, happen, states

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


def test_a_message_is_what_the_standard_verifies(
    other: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = Time()
    monkeypatch.setattr("standardwebhooks.webhooks.datetime", _Standing)
    _, secret = endpoint(other.url)
    happen("acme", 7)

    assert time.deliver() == 1

    event = OutboxEvent.objects.get()
    assert other.verified(secret) == {
        "id": str(event.pk), "type": "wallet.depleted", "timestamp": "2026-03-01T00:00:00Z",
        "livemode": False, "customer_id": "acme", "data": {"customer_id": "acme", "number": 7},
    }  # fmt: skip
    assert other.raw[0][0]["webhook-id"] == str(event.pk)
    assert states() == [("DELIVERED", 1, 200)]
    assert WebhookDelivery.objects.get().response_excerpt == "thanks"
    assert time.deliver(DAY) == 0
    with pytest.raises(WebhookVerificationError):
        other.verified("whsec_" + "A" * 43 + "=")


class _Standing:
    """A receiver's clock that stands at the time of the test's messages."""

    @staticmethod
    def now(tz: object = None) -> object:
        return START

    @staticmethod
    def fromtimestamp(seconds: float, tz: object = None) -> object:
        return START + timedelta(seconds=seconds - START.timestamp())


def test_each_valid_secret_signs(other: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    time = Time()
    monkeypatch.setattr("standardwebhooks.webhooks.datetime", _Standing)
    made, first = endpoint(other.url)
    second, until = endpoints.rotate(endpoint=made, now=START)
    assert until == START + DAY
    happen("acme")
    time.deliver()

    assert other.verified(first) == other.verified(second)

    valid = endpoints.valid_secrets(endpoint_id=made.pk, now=START + DAY)
    assert len(valid) == 1
    third, _ = endpoints.rotate(endpoint=made, now=START, previous_valid=timedelta(0))
    happen("acme")
    time.deliver()
    assert other.verified(third)
    for old in (first, second):
        with pytest.raises(WebhookVerificationError):
            other.verified(old)


def test_a_lost_key_is_named_and_loses_nothing(other: Receiver, settings: LazySettings) -> None:
    time = Time()
    settings.WEBHOOK_KEYS = ["old"]
    endpoint(other.url)
    happen("acme")
    settings.WEBHOOK_KEYS = ["new"]

    time.deliver()

    assert "WEBHOOK_KEYS" in WebhookDelivery.objects.get().error
    assert other.got == []
    settings.WEBHOOK_KEYS = ["new", "old"]
    time.deliver(DAY)
    assert states() == [("DELIVERED", 2, 200)]


def test_a_failure_holds_up_its_customer_alone(other: Receiver) -> None:
    time = Time()
    endpoint(other.url)
    for number in range(3):
        happen("a", number)
    other.answers = [500]
    time.deliver()
    happen("b")
    time.deliver()

    assert [(e["customer_id"], e["data"].get("number")) for e in other.got] == [("a", 0), ("b", 0)]
    assert time.deliver(timedelta(seconds=6)) == 3
    assert [e["data"]["number"] for e in other.got if e["customer_id"] == "a"] == [0, 0, 1, 2]
    assert {status for status, _, _ in states()} == {"DELIVERED"}


def test_it_is_tried_ten_times_over_three_days_then_the_next_one_is(other: Receiver) -> None:
    time = Time()
    made, _ = endpoint(other.url)
    happen("a", 1)
    happen("a", 2)
    other.answers = [503] * 10
    moments: list[datetime] = []
    for _ in range(10):
        assert time.deliver() == 1 + (len(moments) == 9)
        moments.append(time.now)
        due = WebhookStream.objects.get().due_at
        time.now = due or time.now

    waits = [after - before for before, after in pairwise(moments)]
    assert len(waits) == len(delivery.RETRIES) == 9
    for wait, least in zip(waits, delivery.RETRIES, strict=True):
        assert least <= wait <= least * 11 / 10
    assert timedelta(days=3) < moments[-1] - moments[0] < timedelta(days=4)
    assert states() == [("FAILED", 10, 503), ("DELIVERED", 1, 200)]
    made.refresh_from_db()
    assert (made.off_at, made.failing_since) == (None, None)


def test_a_redirect_is_not_followed(other: Receiver) -> None:
    time = Time()
    endpoint(other.url)
    other.answers, other.headers = [302], {"location": other.url}
    happen("a")

    time.deliver()

    assert len(other.got) == 1
    assert states() == [("PENDING", 1, 302)]


def test_what_hangs_is_given_up(other: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "SECONDS", 1)
    time = Time()
    endpoint(other.url)
    other.hangs.clear()
    happen("a")

    time.deliver()

    assert states() == [("PENDING", 1, None)]
    assert WebhookDelivery.objects.get().error == "No answer within 1 seconds."


def test_a_refused_connection_is_said() -> None:
    time = Time()
    endpoint("http://127.0.0.1:9/hook")
    happen("a")

    time.deliver()

    assert WebhookDelivery.objects.get().error.startswith("ConnectError")


def test_gone_switches_off_and_says_so(
    other: Receiver,
    settings: LazySettings,
    django_capture_on_commit_callbacks: object,
) -> None:
    settings.NOTICES_TO = ["ops@example.com"]
    time = Time()
    made, _ = endpoint(other.url)
    watcher, _ = endpoint(other.url + "2", events=["webhook_endpoint.*"])
    other.answers = [410]
    happen("a", 1)
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        time.deliver()

    made.refresh_from_db()
    assert (made.off_at, made.off_reason) == (START, "It answered 410, Gone.")
    assert [message.subject for message in mail.outbox] == ["Aforo: webhooks were switched off"]
    happen("a", 2)
    time.deliver(DAY)
    # Only who watches is told; what is missed waits.
    assert [event["type"] for event in other.got] == [
        "wallet.depleted", "webhook_endpoint.switched_off",
    ]  # fmt: skip
    assert other.got[1]["data"]["endpoint"] == str(made.pk)
    assert watcher.off_at is None

    endpoints.switch_on(endpoint_id=made.pk, now=time.now)
    time.deliver()
    # Its own end is among what it gets, in the order of the feed.
    numbers = [e["data"]["number"] for e in other.got[2:] if e["customer_id"] == "a"]
    assert numbers == [1, 2]


def test_days_without_an_answer_switch_off(other: Receiver) -> None:
    time = Time()
    made, _ = endpoint(other.url)
    other.answers = [500] * 100
    while time.now < START + 5 * DAY:
        happen("a")
        time.deliver(timedelta(hours=6))
        assert WebhookEndpoint.objects.get().off_at is None
    time.deliver(DAY)

    made.refresh_from_db()
    assert made.off_at == time.now
    assert made.off_reason == "It has answered no message for 5 days."
    assert time.deliver(DAY) == 0


def test_filters(other: Receiver) -> None:
    time = Time()
    endpoint(other.url, events=["credits.*", "wallet.topped_up"], customer_id="b")
    for who in ("a", "b"):
        for type_ in ("wallet.depleted", "credits.granted", "wallet.topped_up"):
            happen(who, type_=type_)

    time.deliver()

    assert other.seen == [("b", "credits.granted"), ("b", "wallet.topped_up")]


def test_what_a_dead_worker_had_claimed_is_sent_later(other: Receiver) -> None:
    time = Time()
    made, _ = endpoint(other.url)
    happen("a", 1)
    happen("a", 2)
    feed.publish(now=START)
    lease = made.pk
    claimed = locks.claim_stream(
        endpoint_id=made.pk, now=START, until=START + delivery.LEASE, lease=lease
    )
    assert claimed is not None

    assert time.deliver() == 0
    assert time.deliver(delivery.LEASE) == 2

    assert [event["data"]["number"] for event in other.got] == [1, 2]
    # Should it live after all, its outcome is of no account.
    assert not locks.lock_claimed(stream_id=claimed, lease=lease)


def test_a_replay_stands_outside_the_order(other: Receiver) -> None:
    time = Time()
    endpoint(other.url)
    happen("a", 1)
    time.deliver()
    other.answers = [500]
    happen("a", 2)
    time.deliver()
    first, second = WebhookDelivery.objects.order_by("id")

    with pytest.raises(Conflict):
        delivery.replay(delivery=second, now=START)
    again = delivery.replay(delivery=first, now=START)
    time.deliver()

    assert [event["data"]["number"] for event in other.got] == [1, 2, 1]
    assert [each[0]["webhook-id"] for each in other.raw][0::2] == [str(first.event_id)] * 2
    again.refresh_from_db()
    assert (again.status, again.attempts) == ("DELIVERED", 1)
    second.refresh_from_db()
    assert (second.status, second.attempts) == ("PENDING", 1)


def test_a_name_that_leads_inside_is_not_connected_to(
    other: Receiver, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checked at the delivery again: names change their addresses."""
    time = Time()
    endpoint(other.url.replace("127.0.0.1", "localhost"))
    settings.WEBHOOK_LOOPBACK = False
    happen("a")

    time.deliver()

    assert other.got == []
    assert "public internet" in WebhookDelivery.objects.get().error
