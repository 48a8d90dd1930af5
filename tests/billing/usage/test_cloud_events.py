"""CloudEvents 1.0: subject is the customer, type the metric, (source, id) the key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from aforo.protocol.exact_json import to_json
from billing.models import UsageEvent
from tests import factories

pytestmark = pytest.mark.django_db

SINGLE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"


@pytest.fixture(autouse=True)
def customer() -> None:
    factories.metric()
    factories.customer("cust_1")


def event(**changes: Any) -> dict[str, Any]:
    raw = {
        "specversion": "1.0",
        "id": "1",
        "source": "/gateway/eu",
        "type": "tokens",
        "subject": "cust_1",
        "time": "2026-01-02T03:04:05Z",
        "datacontenttype": "application/json",
        "data": {"quantity": "2.5", "model": "m-1"},
    } | changes
    return {name: value for name, value in raw.items() if value is not None}


def send(api: APIClient, body: object, content_type: str) -> Any:
    return api.generic("POST", "/v1/events", to_json(body), content_type)


def test_one_event_in_structured_mode(api: APIClient) -> None:
    response = send(api, event(traceid="t-9"), f"{SINGLE}; charset=utf-8")

    assert response.status_code == 202
    assert response.json() == {
        "success": True,
        "data": {
            "accepted": 1,
            "duplicates": 0,
            "failed": 0,
            "errors": [],
            "unbilled": [{"index": 0, "reason": "no_subscription"}],
        },
    }
    stored = UsageEvent.objects.get()
    assert (stored.book.key, stored.metric.code) == ("cust_1", "tokens")
    assert stored.key == "/gateway/eu 1"
    assert str(stored.quantity) == "2.500000"
    assert stored.occurred_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert stored.properties == {
        "source": "/gateway/eu",
        "id": "1",
        "traceid": "t-9",
        "model": "m-1",
    }


def test_a_batch_counts_repeats_of_source_and_id(api: APIClient) -> None:
    batch = [event(), event(id="2"), event(source="/gateway/us"), event(data=None)]

    response = send(api, batch, BATCH)

    assert response.json()["data"]["accepted"] == 3
    assert response.json()["data"]["duplicates"] == 1
    assert send(api, [], BATCH).json()["data"]["accepted"] == 0


def test_quantity_is_one_and_time_is_now_where_they_are_left_out(api: APIClient) -> None:
    before = timezone.now()

    send(api, [event(data=None, time=None), event(id="2", data="text")], BATCH)

    first, second = UsageEvent.objects.order_by("key")
    assert (first.quantity, second.quantity) == (1, 1)
    assert before <= first.occurred_at <= timezone.now()
    assert second.properties["data"] == "text"


def test_a_clocked_customer_lives_at_its_clocks_now(api: APIClient) -> None:
    factories.clocked_customer("cust_2", now=factories.FEBRUARY)

    send(api, event(subject="cust_2", time=None), SINGLE)

    assert UsageEvent.objects.get().occurred_at == factories.FEBRUARY


def test_pairs_that_join_to_the_same_text_stay_two_events(api: APIClient) -> None:
    """A source has no space in it, and a pair too long for a key is hashed as a whole."""
    pairs = [
        ("a", "b c"),
        ("a/b", "c"),
        ("s" * 200, "i" * 200),
        ("s" * 201, "i" * 199),
        ("s" * 127, "i" * 127),
    ]

    response = send(api, [event(source=s, id=i) for s, i in pairs], BATCH)
    again = send(api, [event(source=s, id=i) for s, i in pairs], BATCH)

    assert response.json()["data"]["accepted"] == 5
    assert again.json()["data"]["duplicates"] == 5
    keys = set(UsageEvent.objects.values_list("key", flat=True))
    assert {len(key) for key in keys if key.startswith("sha256:")} == {71}
    assert "s" * 127 + " " + "i" * 127 in keys


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (event(specversion="0.3"), "unsupported"),
        (event(specversion=None), "unsupported"),
        (event(id=None), "required"),
        (event(id=7), "required"),
        (event(source=""), "required"),
        (event(source="a b"), "invalid"),
        (event(subject=None), "required"),
        (event(subject="x" * 65), "max_length"),
        (event(subject="nobody"), "unknown_customer"),
        (event(type="nothing"), "unknown_metric"),
        (event(time="yesterday"), "invalid_time"),
        (event(time=(timezone.now() + timedelta(hours=1)).isoformat()), "in_the_future"),
        (event(data={"quantity": 0}), "not_positive"),
        (event(data={"quantity": None}), "invalid_number"),
        (event(data={"note": "a\x00b"}), "invalid"),
        (event(data_base64="AAEC", data=None), "unsupported"),
        ("text", "invalid"),
    ],
)
def test_one_bad_event_never_fails_its_batch(api: APIClient, bad: object, code: str) -> None:
    response = send(api, [event(id="a"), bad, event(id="b")], BATCH)

    data = response.json()["data"]
    assert (response.status_code, data["accepted"], data["failed"]) == (202, 2, 1)
    assert [(e["index"], e["error"]) for e in data["errors"]] == [(1, code)]
    assert UsageEvent.objects.count() == 2


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        ([event()], SINGLE, 422),
        (event(), BATCH, 422),
        ([event()] * 1_001, BATCH, 413),
        ([event()], "application/json", 202),
        (event(), "application/json", 202),
    ],
)
def test_the_content_type_says_which_of_the_two_it_is(
    api: APIClient, body: object, content_type: str, status: int
) -> None:
    response = send(api, body, content_type)

    assert response.status_code == status
    assert UsageEvent.objects.exists() == (status == 202)


def test_what_is_no_json_is_unreadable(api: APIClient) -> None:
    response = api.generic("POST", "/v1/events", "{", SINGLE)

    assert (response.status_code, response.json()["code"]) == (400, "unreadable")


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (event(subject="nobody"), "unknown_customer"),
        (event(type="nothing"), "unknown_metric"),
        (event(time="2026-01-02T03:04:05"), "invalid_time"),
        (event(time=1_767_225_600), "invalid_time"),
        (event(data='{"quantity": 5}'), "unsupported"),
        (event(data=" [1]"), "unsupported"),
        (event(specversion="0.3"), "unsupported"),
        ("text", "invalid"),
    ],
)
@pytest.mark.parametrize("content_type", [SINGLE, "application/json"])
def test_a_single_event_that_is_refused(
    api: APIClient, bad: object, code: str, content_type: str
) -> None:
    response = send(api, bad, content_type)

    assert (response.status_code, response.json()["code"]) == (422, code)
    assert response["Content-Type"] == "application/problem+json"
    assert not UsageEvent.objects.exists()


BINARY: dict[str, Any] = {
    "HTTP_CE_SPECVERSION": "1.0",
    "HTTP_CE_ID": "1",
    "HTTP_CE_SOURCE": "/gateway/eu",
    "HTTP_CE_TYPE": "tokens",
    "HTTP_CE_SUBJECT": "cust_1",
    "HTTP_CE_TIME": "2026-01-02T03:04:05Z",
    "HTTP_CE_TEAM": "caf%C3%A9",
}


def test_binary_mode(api: APIClient) -> None:
    """The attributes are headers, percent-encoded, and the body is the data."""
    body = to_json({"quantity": "2.5", "model": "m-1"})

    response = api.generic("POST", "/v1/events", body, "application/json", **BINARY)
    again = send(api, event(), SINGLE)

    assert (response.status_code, response.json()["data"]["accepted"]) == (202, 1)
    assert again.json()["data"]["duplicates"] == 1
    stored = UsageEvent.objects.get()
    assert (stored.key, str(stored.quantity)) == ("/gateway/eu 1", "2.500000")
    assert stored.properties == {
        "source": "/gateway/eu",
        "id": "1",
        "team": "café",
        "model": "m-1",
    }


def test_binary_mode_that_is_refused(api: APIClient) -> None:
    sent = {**BINARY, "HTTP_CE_SUBJECT": "nobody"}

    response = api.generic("POST", "/v1/events", "{}", "application/json", **sent)

    assert (response.status_code, response.json()["code"]) == (422, "unknown_customer")
    assert not UsageEvent.objects.exists()
