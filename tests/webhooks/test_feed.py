"""The feed of events: its order, its cursor, and who sees what of it."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from aforo.access.services import create_api_key
from aforo.webhooks.models import OutboxEvent
from tests import factories

pytestmark = pytest.mark.django_db

URL = "/v1/webhook-events"


def happen(*customers: str, livemode: bool = False) -> None:
    """Buy, and spend all, which is told by two events each."""
    for customer in customers:
        factories.customer(customer, livemode=livemode)
        factories.top_up(customer, "10", livemode=livemode)
        if not livemode:
            factories.debit(customer, "10", "all")


def read(api: APIClient, **query: Any) -> dict[str, Any]:
    response = api.get(URL, query)
    assert response.status_code == 200, response.content
    answer: dict[str, Any] = response.json()
    return answer


def told(answer: dict[str, Any]) -> list[tuple[str, str]]:
    return [(event["customer_id"], event["type"]) for event in answer["data"]]


def test_events_are_read_oldest_first_and_once(api: APIClient) -> None:
    happen("a", "b")

    first = read(api)

    assert told(first) == [
        ("a", "wallet.topped_up"), ("a", "wallet.depleted"),
        ("b", "wallet.topped_up"), ("b", "wallet.depleted"),
    ]  # fmt: skip
    positions = [event["position"] for event in first["data"]]
    assert positions == sorted(set(positions))
    assert (first["next"], first["after"]) == (None, positions[-1])
    assert first["data"][1]["data"]["available"] == "0"
    assert first["data"][1]["livemode"] is False
    assert told(read(api, after=first["after"])) == []
    happen("c")
    assert [who for who, _ in told(read(api, after=first["after"]))] == ["c", "c"]


def test_pages_follow_each_other(api: APIClient) -> None:
    happen("a", "b")

    first = read(api, limit=3)
    second = api.get(first["next"]).json()

    assert [who for who, _ in told(first)] == ["a", "a", "b"]
    assert told(second) == [("b", "wallet.depleted")]
    assert second["next"] is None


def test_it_is_filtered_by_type_subject_and_customer(api: APIClient) -> None:
    happen("a", "b")
    factories.grant("b", "5")

    assert told(read(api, type="wallet.depleted", customer_id="b")) == [("b", "wallet.depleted")]
    assert told(read(api, type="credits.*")) == [("b", "credits.granted")]
    assert told(read(api, customer_id="nobody")) == []
    # Who asks for what is rare does not read all the rest again.
    assert read(api, type="credits.*")["after"] == read(api)["after"]


def test_what_the_version_before_had_written_comes_first(api: APIClient) -> None:
    happen("old", "new")
    OutboxEvent.objects.filter(customer_id="old").update(sequence=None)
    OutboxEvent.objects.filter(customer_id="new").update(sequence=1)

    assert [who for who, _ in told(read(api))] == ["old", "old", "new", "new"]


def test_a_mode_sees_its_own_events(api: APIClient, live_api: APIClient) -> None:
    happen("a")
    happen("b", livemode=True)

    assert {who for who, _ in told(read(api))} == {"a"}
    assert {who for who, _ in told(read(live_api))} == {"b"}


def test_it_has_a_scope_of_its_own(client: APIClient) -> None:
    _, secret = create_api_key(livemode=False, name="w", scopes=["wallets", "billing"])

    answer = client.get(URL, HTTP_AUTHORIZATION=f"Bearer {secret}")

    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"type": "wallet.rich"}, "unknown_event_type"),
        ({"type": "w.*"}, "unknown_event_type"),
        ({"after": "-1"}, "min_value"),
        ({"after": "x"}, "invalid"),
        ({"limit": "501"}, "max_value"),
        ({"cursor": "x"}, "unknown_filter"),
    ],
)
def test_what_is_asked_wrongly_is_refused(api: APIClient, query: Any, code: str) -> None:
    happen("a")

    answer = api.get(URL, query)

    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, code)
    assert list(OutboxEvent.objects.exclude(position=None)) == []
