"""Metered events: accepted, counted as duplicates, or refused one by one."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from billing.models import UsageEvent
from tests import factories

pytestmark = pytest.mark.django_db

BATCH = "/v1/ingest/batch"


@pytest.fixture(autouse=True)
def customer() -> None:
    factories.metric()
    factories.customer("cust_1")


def event(**changes: Any) -> dict[str, Any]:
    raw = {
        "customerId": "cust_1",
        "metricName": "tokens",
        "quantity": 1.5,
        "occurredAt": timezone.now().isoformat(),
        "idempotencyKey": "k",
        "productType": "API",
    } | changes
    return {name: value for name, value in raw.items() if value is not None}


def test_a_repeat_is_counted_and_not_billed(api: APIClient) -> None:
    first = api.post(BATCH, {"events": [event(), event(idempotencyKey="l"), event()]})
    again = api.post("/api/v1/ingest/batch", {"events": [event(quantity="99")]})

    assert first.status_code == 202
    assert first.json() == {
        "success": True,
        "data": {
            "accepted": 2,
            "duplicates": 1,
            "failed": 0,
            "errors": [],
            "unbilled": [
                {"index": 0, "reason": "no_subscription"},
                {"index": 1, "reason": "no_subscription"},
            ],
        },
    }
    assert again.json()["data"]["duplicates"] == 1
    assert [str(q.normalize()) for q in UsageEvent.objects.values_list("quantity", flat=True)] == [
        "1.5",
        "1.5",
    ]


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (event(customerId="nobody"), "unknown_customer"),
        (event(customerId="x" * 65), "max_length"),
        (event(customerId=" "), "required"),
        (event(metricName="nothing"), "unknown_metric"),
        (event(metricName=None), "required"),
        (event(quantity=0), "not_positive"),
        (event(quantity=-1), "not_positive"),
        (event(quantity="much"), "invalid_number"),
        (event(quantity=True), "invalid_number"),
        (event(quantity="1E+999999"), "invalid_number"),
        (event(quantity="0.0000001"), "too_many_decimals"),
        (event(quantity="1" + "0" * 14), "too_large"),
        (event(occurredAt="yesterday"), "invalid_time"),
        (event(occurredAt=10**30), "invalid_time"),
        (event(occurredAt=None), "invalid_time"),
        (event(occurredAt="2026-01-02T03:04:05"), "invalid_time"),
        (event(occurredAt=1_767_225_600), "invalid_time"),
        (event(occurredAt="0001-01-01T00:00:00+14:00"), "invalid_time"),
        (event(occurredAt="1969-12-31T23:59:59Z"), "invalid_time"),
        (event(occurredAt="9999-12-31T23:59:59-14:00"), "invalid_time"),
        (event(metadata={f"m{n}": n for n in range(1_000)}), "too_many_members"),
        (event(idempotencyKey=None), "required"),
        (event(idempotencyKey="k" * 256), "max_length"),
        (event(idempotencyKey="k\x00"), "invalid"),
        (event(metadata={"note": ["a\x00b"]}), "invalid"),
        (event(metadata=json.loads('{"a":' * 700 + "1" + "}" * 700)), "too_deep"),
        ("no object", "invalid"),
    ],
)
def test_one_bad_event_never_fails_its_batch(api: APIClient, bad: object, code: str) -> None:
    response = api.post(
        BATCH, {"events": [event(idempotencyKey="a"), bad, event(idempotencyKey="b")]}
    )

    data = response.json()["data"]
    assert (response.status_code, data["accepted"], data["failed"]) == (202, 2, 1)
    assert [(e["index"], e["error"]) for e in data["errors"]] == [(1, code)]
    assert data["errors"][0]["message"]
    assert sorted(UsageEvent.objects.values_list("key", flat=True)) == ["a", "b"]


def test_the_future_begins_after_five_minutes(api: APIClient) -> None:
    soon = (timezone.now() + timedelta(minutes=4)).isoformat()
    later = (timezone.now() + timedelta(minutes=6)).isoformat()

    response = api.post(
        BATCH,
        {"events": [event(occurredAt=soon), event(occurredAt=later, idempotencyKey="l")]},
    )

    assert [e["error"] for e in response.json()["data"]["errors"]] == ["in_the_future"]
    assert UsageEvent.objects.count() == 1


def test_epoch_milliseconds_and_other_fields_are_kept(api: APIClient) -> None:
    response = api.post(
        "/v1/ingest",
        event(occurredAt=1_767_225_600_123, metadata={"model": "m-1"}, agentId="a1"),
    )

    assert response.json()["data"]["accepted"] == 1
    stored = UsageEvent.objects.get()
    assert stored.occurred_at.isoformat() == "2026-01-01T00:00:00.123000+00:00"
    assert stored.properties == {
        "productType": "API",
        "metadata": {"model": "m-1"},
        "agentId": "a1",
    }


def test_text_that_only_looks_like_a_nul_is_kept(api: APIClient) -> None:
    response = api.post("/v1/ingest", event(note="a\\u0000b"))

    assert response.json()["data"]["accepted"] == 1
    assert UsageEvent.objects.get().properties["note"] == "a\\u0000b"


def test_heartbeats_are_accepted_and_never_stored(api: APIClient) -> None:
    beat = event(customerId="system", metricName="system.session.heartbeat")

    response = api.post(BATCH, {"events": [beat]})

    assert response.json()["data"]["accepted"] == 1
    assert not UsageEvent.objects.exists()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"events": []}, 422),
        ({}, 422),
        ([], 422),
        ({"events": "many"}, 422),
        ({"events": [{}] * 1_001}, 413),
    ],
)
def test_a_batch_that_is_none(api: APIClient, body: object, status: int) -> None:
    response = api.post(BATCH, body)

    assert response.status_code == status
    assert response["Content-Type"] == "application/problem+json"


def test_the_number_of_statements_does_not_grow_with_the_batch(api: APIClient) -> None:
    def take(count: int, name: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            events = [event(idempotencyKey=f"{name}{n}") for n in range(count)]
            api.post(BATCH, {"events": events})
        return len(queries)

    take(1, "warm")

    assert take(100, "b") == take(1, "a")
    assert UsageEvent.objects.count() == 102
