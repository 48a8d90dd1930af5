"""`GET /v1/usage`: the metric's own aggregate, by the customer's days and hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from billing.customers import customers
from billing.usage import ingest
from ledger.models import Book
from tests import factories

pytestmark = pytest.mark.django_db

# On 29 March 2026 Madrid goes from UTC+1 to UTC+2.
DAYS = {"from": "2026-03-27T23:00:00Z", "to": "2026-03-30T22:00:00Z", "group_by": "day"}


@pytest.fixture(autouse=True)
def madrid() -> Book:
    factories.metric("tokens")
    factories.metric("latency", aggregation="MAX")
    return customers.create_customer(
        livemode=False, customer_id="cust_1", name="One", timezone="Europe/Madrid"
    ).book


def used(metric: str, *events: tuple[str, object]) -> None:
    raw = [
        factories.event(
            "cust_1", quantity, f"{metric}-{at}-{n}", datetime.fromisoformat(at), metric
        )
        for n, (at, quantity) in enumerate(events)
    ]
    outcome = ingest.ingest(livemode=False, events=raw, received_at=timezone.now())
    assert outcome.accepted == len(events)


def rows(api: APIClient, **query: str) -> list[tuple[Any, ...]]:
    response = api.get("/v1/usage", {"customer_id": "cust_1"} | query)
    assert response.status_code == 200, response.content
    assert response.json()["next"] is None
    return [
        (row["metric"], row["from"], row["to"], row["quantity"], row["events"])
        for row in response.json()["data"]
    ]


def test_days_end_at_the_customers_midnight_also_when_the_clocks_change(api: APIClient) -> None:
    used(
        "tokens",
        ("2026-03-28T22:59:59.999999Z", 1),
        ("2026-03-28T23:00:00Z", 2),
        ("2026-03-29T21:59:59Z", "4.5"),
        ("2026-03-29T22:00:00Z", 8),
        ("2026-03-30T22:00:00Z", 16),
    )

    assert rows(api, **DAYS) == [
        ("tokens", "2026-03-27T23:00:00Z", "2026-03-28T23:00:00Z", "1", 1),
        ("tokens", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", "6.5", 2),
        ("tokens", "2026-03-29T22:00:00Z", "2026-03-30T22:00:00Z", "8", 1),
    ]


def test_each_metric_adds_up_in_its_own_way(api: APIClient) -> None:
    used("tokens", ("2026-03-28T10:10:00Z", 1), ("2026-03-28T10:50:00Z", 2))
    used(
        "latency",
        ("2026-03-28T10:10:00Z", 30),
        ("2026-03-28T10:20:00Z", 20),
        ("2026-03-28T12:20:00Z", 10),
    )

    found = rows(
        api, **{"from": "2026-03-28T10:15:00Z", "to": "2026-03-28T14:00:00Z", "group_by": "hour"}
    )

    assert found == [
        ("latency", "2026-03-28T10:15:00Z", "2026-03-28T11:00:00Z", "20", 1),
        ("tokens", "2026-03-28T10:15:00Z", "2026-03-28T11:00:00Z", "2", 1),
        ("latency", "2026-03-28T12:00:00Z", "2026-03-28T13:00:00Z", "10", 1),
    ]


def test_one_sum_without_a_group(api: APIClient) -> None:
    used("tokens", ("2026-03-28T10:00:00Z", 1), ("2026-03-29T10:00:00Z", 2))
    bounds = {"from": "2026-03-28T00:00:00Z", "to": "2026-04-01T00:00:00Z"}

    assert rows(api, **bounds) == [("tokens", *bounds.values(), "3", 2)]
    assert rows(api, metric="latency", **bounds) == [("latency", *bounds.values(), "0", 0)]


def test_late_usage_is_shown_when_it_occurred(api: APIClient) -> None:
    """It is billed in the cycle that was open when it came, and was used before that."""
    factories.offering()
    clocked = factories.clocked_customer("cust_2")
    factories.subscription("cust_2")
    assert clocked.test_clock is not None
    path = f"/v1/test-clocks/{clocked.test_clock.pk}/advance"
    assert api.post(path, {"now": "2026-02-03T00:00:00Z"}).status_code == 200
    late = factories.event("cust_2", 5, "late", datetime(2026, 1, 31, 12, tzinfo=UTC))
    ingest.ingest(livemode=False, events=[late], received_at=timezone.now())

    found = rows(api, customer_id="cust_2", group_by="day")

    assert found == [("tokens", "2026-01-31T00:00:00Z", "2026-02-01T00:00:00Z", "5", 1)]


def test_the_last_thirty_days_of_the_customers_now_by_default(api: APIClient) -> None:
    factories.clocked_customer("cust_2", now=factories.FEBRUARY)
    at = [factories.FEBRUARY - timedelta(days=days) for days in (31, 30, 1)]
    raw = [factories.event("cust_2", 1, str(n), moment) for n, moment in enumerate(at)]
    ingest.ingest(livemode=False, events=raw, received_at=timezone.now())

    assert rows(api, customer_id="cust_2") == [
        ("tokens", "2026-01-02T00:00:00Z", "2026-02-01T00:00:00Z", "2", 2)
    ]


def test_an_answer_holds_a_thousand_windows_and_says_where_it_goes_on(api: APIClient) -> None:
    used("tokens", ("2026-01-01T00:30:00Z", 1), ("2026-02-11T15:59:59Z", 2))
    used("tokens", ("2026-02-11T16:00:00Z", 4))
    query = {"customer_id": "cust_1", "from": "2026-01-01T00:00:00Z", "group_by": "hour"}

    first = api.get("/v1/usage", query | {"to": "2026-03-01T00:00:00Z"}).json()
    second = api.get(first["next"]).json()

    assert [row["quantity"] for row in first["data"]] == ["1", "2"]
    assert [(row["from"], row["quantity"]) for row in second["data"]] == [
        ("2026-02-11T16:00:00Z", "4")
    ]
    assert second["next"] is None


@pytest.mark.parametrize(
    ("query", "status", "pointer", "code"),
    [
        ({"customer_id": ""}, 422, "/customer_id", "blank"),
        ({"customer_id": "nobody"}, 404, None, "unknown_customer"),
        ({"metric": "nothing"}, 422, "/metric", "unknown_metric"),
        ({"group_by": "week"}, 422, "/group_by", "invalid_choice"),
        ({"from": "soon"}, 422, "/from", "invalid"),
        ({"from": "2026-02-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}, 422, "/to", None),
        ({"from": "0001-01-01T00:00:00Z", "group_by": "day"}, 422, "/from", "out_of_range"),
        ({"to": "0001-01-01T00:00:00Z"}, 422, "/to", "out_of_range"),
        ({"to": "9999-12-31T23:59:59Z", "group_by": "day"}, 422, "/to", "out_of_range"),
        ({"period": "1"}, 422, "/period", "unknown_filter"),
    ],
)
def test_a_question_that_is_none(
    api: APIClient, query: dict[str, str], status: int, pointer: str | None, code: str | None
) -> None:
    response = api.get("/v1/usage", {"customer_id": "cust_1"} | query)

    problem = response.json()
    assert response.status_code == status
    assert code in {None, problem["code"]}
    assert [e["pointer"] for e in problem.get("errors", [])] == ([pointer] if pointer else [])


def test_another_modes_customer_does_not_exist(live_api: APIClient) -> None:
    assert live_api.get("/v1/usage", {"customer_id": "cust_1"}).status_code == 404
