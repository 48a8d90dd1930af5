"""What Prometheus scrapes, and the line that each request has in the log."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest
from django.conf import LazySettings
from django.core.cache import cache
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families
from rest_framework.test import APIClient

from aforo.access.services import create_api_key
from aforo.observability import logs
from tests import factories
from tests.serving import Served

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scraped(text: str) -> Samples:
    """Read the page as Prometheus does."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((name, tuple(sorted(labels.items()))), 0)


def scrape(client: Client) -> Samples:
    return scraped(client.get("/metrics").content.decode())


DEBIT = {"customer_id": "cust_1", "amount": "40", "currency": "USD"}


@pytest.fixture
def funded(db: None) -> Iterator[None]:
    cache.clear()
    factories.customer()
    factories.top_up("cust_1", "100")
    yield
    cache.clear()


def test_debits_are_counted_by_what_became_of_them(
    funded: None, api: APIClient, client: Client
) -> None:
    before = scrape(client)
    for key, status in (("a", 200), ("a", 200), ("b", 200), ("c", 402)):
        answer = api.post("/v1/wallets/debit", {**DEBIT, "idempotency_key": key})
        assert answer.status_code == status

    after = scrape(client)

    def more(name: str, **labels: str) -> float:
        return value(after, name, **labels) - value(before, name, **labels)

    asked = {"request": "wallets.debit"}
    assert more("aforo_engine_requests_total", outcome="accepted", **asked) == 2
    assert more("aforo_engine_requests_total", outcome="replayed", **asked) == 1
    assert more("aforo_engine_requests_total", outcome="insufficient_funds", **asked) == 1
    assert more("aforo_engine_list_length_count") == 4
    assert more("aforo_engine_lock_wait_seconds_count") == 4
    route = {"method": "POST", "route": "v1/wallets/debit"}
    assert more("aforo_requests_total", status="200", **route) == 3
    assert more("aforo_requests_total", status="402", **route) == 1
    assert more("aforo_request_seconds_count", route="v1/wallets/debit") == 4


def test_what_the_database_knows(funded: None, api: APIClient, client: Client) -> None:
    held = {**DEBIT, "idempotency_key": "hold", "expires_in": 60}
    assert api.post("/v1/wallets/reservations", held).status_code == 201

    found = scrape(client)

    assert value(found, "aforo_reservations_held", mode="sandbox") == 1
    assert value(found, "aforo_reservations_held", mode="live") == 0
    assert value(found, "aforo_liability", mode="sandbox", currency="USD") == 100
    assert value(found, "aforo_cycles_due") == 0
    assert value(found, "aforo_database_up") == 1


def test_pages_and_unknown_addresses_are_one_route_each(client: Client, db: None) -> None:
    before = scrape(client)
    client.get("/admin/login/")
    client.get("/nothing/of/this/kind")
    after = scrape(client)

    for route in ("admin/", "none"):
        counted = [
            value(each, "aforo_request_seconds_count", route=route) for each in (before, after)
        ]
        assert counted[1] - counted[0] == 1
    assert not [key for key in after if "/nothing" in str(key)]


@pytest.mark.django_db(transaction=True)
def test_processes_count_together(served_url: Served) -> None:
    _, secret = create_api_key(livemode=False, name="counted")
    factories.customer()
    headers = {"Authorization": f"Bearer {secret}"}
    with httpx.Client(base_url=served_url, headers=headers) as client:
        for _ in range(40):
            # A connection each, so that both processes answer some.
            closing = {"Connection": "close"}
            assert client.get("/v1/wallets/cust_1", headers=closing).status_code == 200
        counts = {
            value(
                scraped(client.get("/metrics", headers={"Connection": "close"}).text),
                "aforo_requests_total", method="GET", route="v1/wallets/<str:customer_id>",
                status="200",
            )
            for _ in range(10)
        }  # fmt: skip
    assert counts == {40}


def test_a_request_has_one_line_without_secrets(
    funded: None, api: APIClient, settings: LazySettings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.LOG_REQUESTS = True
    caplog.set_level(logging.INFO, "aforo.requests")
    _, secret = create_api_key(livemode=False, name="told")
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")

    api.post("/v1/wallets/debit", {**DEBIT, "idempotency_key": "a", "attributes": {"team": "red"}})
    api.get("/v1/wallets/cust_1")

    lines = [_line(record) for record in caplog.records if record.name == "aforo.requests"]
    assert [(each["method"], each["path"], each["status"]) for each in lines] == [
        ("POST", "/v1/wallets/debit", 200),
        ("GET", "/v1/wallets/cust_1", 200),
    ]
    assert {each["customer"] for each in lines} == {"cust_1"}
    for each in lines:
        assert each["key"], each
        assert each["request_id"], each
        assert each["statements"] > 0, each
    written = json.dumps(lines)
    assert secret not in written
    assert "red" not in written
    assert re.fullmatch(r"[A-Za-z0-9-]+", lines[0]["key"])


def _line(record: logging.LogRecord) -> dict[str, Any]:
    """Write and read a line of the log as in production."""
    record.request_id = getattr(record, "request_id", "of the handler")
    found: dict[str, Any] = json.loads(logs.Json().format(record))
    return found


def test_lines_are_objects_with_the_id_of_their_request() -> None:
    record = logging.LogRecord("aforo", logging.INFO, "", 0, "Swept in %d ms", (12,), None)
    record.lapsed = Decimal("1.50")
    assert logs.OfRequest().filter(record)

    line = _line(record)

    assert line["message"] == "Swept in 12 ms"
    assert (line["level"], line["logger"], line["lapsed"]) == ("INFO", "aforo", "1.50")
    assert {"time", "request_id"} <= set(line)
