"""A number that cannot be added up exactly is refused where it arrives, by whatever way, and what
was ever stored stops nobody.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rest_framework.test import APIClient

from billing.models import Settlement, UsageEvent
from billing.usage.files import ingest_file, rejects_path
from ledger.models import Book
from pricing.metrics import metrics
from pricing.models import Metric
from tests import factories
from tests.factories import FEBRUARY, START

pytestmark = pytest.mark.django_db

MOMENT = START
LONGEST = f"{'9' * 14}.{'9' * 12}"
TOO_LONG = ["9" * 15, "9" * 27, "9" * 40, "9" * 1_000, "-" + "9" * 15, "0.0000000000001"]
# As they stand in JSON; they are read exactly, exponents included.
AS_NUMBERS = ["1E+14", "1e-13", "100000000000000", "-100000000000000", "0.1234567890123", "1e26"]


@pytest.fixture
def book() -> Book:
    """A customer on a clock, who pays 0.002 for each unit of the property v, and 1 for a call."""
    metrics.create_metric(
        livemode=False,
        code="volume",
        name="Volume",
        aggregation="SUM",
        property="v",
        filters=[{"property": "size", "op": "gt", "value": 0}],
    )
    factories.metric("calls")
    book = factories.clocked_customer("cust_1")
    factories.offering(
        charges=[
            {
                "code": "v",
                "model": "PER_UNIT",
                "metric": "volume",
                "terms": {"unit_price": "0.002"},
            },
            {"code": "c", "model": "PER_UNIT", "metric": "calls", "terms": {"unit_price": "1"}},
        ]
    )
    factories.subscription("cust_1")
    return book


def event(name: str = "v", value: object = "1", **changes: Any) -> dict[str, Any]:
    return {
        "customerId": "cust_1",
        "metricName": "volume",
        "quantity": 1,
        "occurredAt": MOMENT.isoformat(),
        "idempotencyKey": "k",
        "metadata": {"v": "1", "size": "1"} | {name: value},
    } | changes


@pytest.mark.parametrize("name", ["v", "size"])
def test_too_long_a_number(api: APIClient, book: Book, name: str) -> None:
    """In `metadata` or beside it, as text or as a number, by either generation's address."""
    for value in [*(json.dumps(text) for text in TOO_LONG), *AS_NUMBERS]:
        within = json.dumps(event(name, "here")).replace('"here"', value)
        beside = json.dumps(event() | {name: "here"}).replace('"here"', value)
        batch = f'{{"events": [{within}, {beside}]}}'
        for path, body, failed in (
            ("/v1/ingest", within, 1),
            ("/v1/ingest/events", beside, 1),
            ("/api/v1/ingest/batch", batch, 2),
        ):
            data = api.post(path, body.encode(), content_type="application/json").json()["data"]
            assert (data["accepted"], data["failed"]) == (0, failed), (value, data)
            assert {e["error"] for e in data["errors"]} == {"number_too_long"}
    assert not UsageEvent.objects.exists()


def test_too_long_a_number_in_real_time(api: APIClient, book: Book) -> None:
    before = factories.everything()
    body = {"customer_id": "cust_1", "metric": "volume", "quantity": 1}
    for path in ("/v1/usage/debit", "/v1/usage/reserve"):
        for number, value in enumerate(TOO_LONG):
            key = {"idempotency_key": f"k{number}"}
            response = api.post(path, {**body, **key, "properties": {"v": value, "size": 1}})
            assert (response.status_code, response.json()["code"]) == (422, "number_too_long")
            assert response.json()["errors"][0]["pointer"] == "/properties"
    assert factories.everything() == before


def test_fractions_in_real_time(api: APIClient, book: Book) -> None:
    """A fraction among the properties is kept as it was written; 1,500.5 x 0.002 is 3.001."""
    body = {"customer_id": "cust_1", "metric": "volume", "quantity": 1, "idempotency_key": "k"}

    response = api.post(
        "/v1/usage/debit", {**body, "properties": {"v": 1500.5, "size": 2, "a": [1]}}
    )

    assert response.status_code == 200
    assert response.json()["amount"] == "3"
    assert UsageEvent.objects.get().properties == {"v": "1500.5", "size": "2", "a": ["1"]}


def test_too_long_a_number_in_a_file(book: Book, tmp_path: Path) -> None:
    file = tmp_path / "usage.ndjson"
    file.write_text("\n".join(json.dumps(event(value=value)) for value in TOO_LONG))

    taken = ingest_file(path=file, file_format="ndjson", livemode=False, clock=lambda: MOMENT)

    assert (taken.accepted, taken.failed) == (0, len(TOO_LONG))
    listed = rejects_path(file, livemode=False).read_text().splitlines()
    assert {json.loads(line)["error"] for line in listed} == {"number_too_long"}


def test_too_long_a_number_in_a_cloud_event(api: APIClient, book: Book) -> None:
    cloud_event = {
        "specversion": "1.0", "id": "1", "source": "/s", "type": "volume", "subject": "cust_1",
        "time": MOMENT.isoformat(), "data": {"v": "9" * 27, "size": 1},
    }  # fmt: skip

    data = api.post("/v1/events", [cloud_event]).json()["data"]

    assert [e["error"] for e in data["errors"]] == ["number_too_long"]


def test_the_longest_number_is_billed(api: APIClient, book: Book) -> None:
    """99,999,999,999,999.999999999999 x 0.002 = 199,999,999,999.999999999999998, which is
    200,000,000,000.00.
    """
    assert api.post("/v1/ingest", event(value=LONGEST)).json()["data"]["accepted"] == 1

    factories.advance(book, FEBRUARY)

    assert Settlement.objects.get(cycle=0).totals["total"] == "200000000000"


@pytest.mark.parametrize("value", [*TOO_LONG, "9" * 200_000, "1e400", "NaN", "much"])
def test_what_was_stored_before_stops_nobody(api: APIClient, book: Book, value: str) -> None:
    """It counts as what it is for a sum: no number. The rest of the customer is billed."""
    api.post("/v1/ingest", event(idempotencyKey="c", metricName="calls", quantity=7))
    UsageEvent.objects.create(
        book=book,
        metric=Metric.objects.get(code="volume"),
        key="k",
        quantity=1,
        occurred_at=MOMENT,
        counted_at=MOMENT,
        received_at=MOMENT,
        properties={"v": value, "size": value},
    )

    read = api.get(
        "/v1/usage",
        {"customer_id": "cust_1", "from": START.isoformat(), "to": FEBRUARY.isoformat()},
    )
    factories.advance(book, FEBRUARY)

    assert read.status_code == 200
    assert Settlement.objects.get(cycle=0).totals["total"] == "7"
