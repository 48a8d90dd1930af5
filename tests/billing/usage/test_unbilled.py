"""What is accepted and never billed is said: in the answer, with the index, and in a list."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from rest_framework.test import APIClient

from billing.lifecycle import changes
from billing.models import Settlement, UnbilledUsage
from ledger.models import Book
from pricing.metrics import metrics
from tests import factories
from tests.factories import FEBRUARY, MARCH, START

pytestmark = pytest.mark.django_db

LIST = "/v1/usage/unbilled"
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture
def book() -> Book:
    """A customer on a clock, not yet subscribed to what charges `volume` by v and `tokens`."""
    metrics.create_metric(
        livemode=False, code="volume", name="Volume", aggregation="SUM", property="v"
    )
    factories.offering(
        charges=[
            {"code": "v", "model": "PER_UNIT", "metric": "volume", "terms": {"unit_price": "1"}},
            {"code": "t", "model": "PER_UNIT", "metric": "tokens", "terms": {"unit_price": "1"}},
        ]
    )
    return factories.clocked_customer("cust_1")


def event(key: str, at: datetime, **changes: Any) -> dict[str, Any]:
    return {
        "customerId": "cust_1",
        "metricName": "tokens",
        "quantity": 1,
        "occurredAt": at.isoformat(),
        "idempotencyKey": key,
    } | changes


def send(api: APIClient, *events: dict[str, Any]) -> list[tuple[int, str]]:
    data = api.post("/v1/ingest/batch", {"events": list(events)}).json()["data"]
    assert data["failed"] == 0
    return [(each["index"], each["reason"]) for each in data["unbilled"]]


def listed(api: APIClient, **asked: str) -> dict[str, str]:
    rows = api.get(LIST, asked).json()["data"]
    return {row["idempotency_key"]: row["reason"] for row in rows}


def test_what_a_subscription_charges_is_billed_and_not_said(api: APIClient, book: Book) -> None:
    factories.subscription("cust_1")

    said = send(api, event("a", START), event("b", START, metricName="volume", v="2.5"))
    factories.advance(book, FEBRUARY)

    assert (said, listed(api)) == ([], {})
    assert Settlement.objects.get(cycle=0).totals["total"] == "3.5"


def test_no_subscription_until_one_takes_it_up(api: APIClient, book: Book) -> None:
    """The subscription begins where the clock stands, so it takes up the usage of that instant."""
    heartbeat = event("h", START, metricName="system.session.heartbeat")

    said = send(api, heartbeat, event("a", START), event("b", START - DAY), event("a", START))
    before = listed(api)
    factories.subscription("cust_1")

    assert said == [(1, "no_subscription"), (2, "no_subscription")]
    assert before == {"a": "no_subscription", "b": "no_subscription"}
    assert listed(api) == {"b": "no_subscription"}


def test_what_the_metric_cannot_read(api: APIClient, book: Book) -> None:
    factories.subscription("cust_1")
    volume = {"metricName": "volume"}

    said = send(
        api,
        event("a", START, **volume),
        event("b", START, **volume, v="many"),
        event("c", START, **volume, v=[1]),
        event("d", START, **volume, v=True),
        event("e", START, **volume, metadata={"v": 4}),
        event("f", START, **volume, v="1e3"),
    )
    factories.advance(book, FEBRUARY)

    assert said == [
        (0, "missing_property"),
        (1, "not_a_number"),
        (2, "not_a_number"),
        (3, "not_a_number"),
        (5, "not_a_number"),
    ]
    assert listed(api, reason="missing_property") == {"a": "missing_property"}
    assert Settlement.objects.get(cycle=0).totals["total"] == "4"


def test_a_pause(api: APIClient, book: Book) -> None:
    made = factories.subscription("cust_1")
    factories.advance(book, START + DAY)
    changes.pause(livemode=False, subscription_id=made.pk)
    factories.advance(book, START + 2 * DAY)

    said = send(api, event("a", START + DAY + HOUR), event("b", START + 2 * DAY))

    assert said == [(0, "paused"), (1, "paused")]


def test_too_old(api: APIClient, book: Book) -> None:
    """January's usage may come until the 1st of April, 60 days after its end."""
    factories.subscription("cust_1")
    factories.advance(book, FEBRUARY + timedelta(days=60))
    in_time = send(api, event("a", START))
    factories.advance(book, FEBRUARY + timedelta(days=60, seconds=1))

    too_late = send(api, event("b", START), event("c", MARCH))

    assert (in_time, too_late) == ([], [(0, "too_old")])
    assert listed(api) == {"b": "too_old"}


def test_after_a_cancellation(api: APIClient, book: Book) -> None:
    made = factories.subscription("cust_1")
    factories.advance(book, START + DAY)
    changes.cancel(livemode=False, subscription_id=made.pk, at="NOW")
    factories.advance(book, START + 2 * DAY)

    said = send(api, event("a", START), event("b", START + DAY + HOUR))

    assert said == [(0, "too_old"), (1, "no_subscription")]


def test_the_list_is_of_one_mode_and_can_be_narrowed(
    api: APIClient, live_api: APIClient, book: Book
) -> None:
    factories.customer("cust_2")
    send(api, event("a", START), event("b", START - DAY), event("c", START, customerId="cust_2"))

    assert set(listed(api)) == {"a", "b", "c"}
    assert set(listed(api, customer_id="cust_2")) == {"c"}
    assert set(listed(api, customer_id="cust_1", to=START.isoformat())) == {"b"}
    assert set(listed(api, customer_id="cust_1", **{"from": START.isoformat()})) == {"a"}
    assert listed(api, metric="volume") == {}
    assert listed(live_api) == {}
    row = api.get(LIST, {"customer_id": "cust_2"}).json()["data"][0]
    assert (row["customer_id"], row["metric"], row["quantity"]) == ("cust_2", "tokens", "1")
    assert api.get(f"{LIST}?customer=cust_1").status_code == 422


def test_the_list_is_append_only(api: APIClient, book: Book) -> None:
    send(api, event("a", START))

    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        UnbilledUsage.objects.update(reason="paused")
