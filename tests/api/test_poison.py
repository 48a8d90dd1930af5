"""Whatever passes the edge never stops a clock, a sweep, a settlement or a read.

Requests are drawn from the OpenAPI document's own schemas, sound, at their bounds and broken; what
is answered is never a 5xx, and afterwards another customer is billed as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from billing.models import Settlement
from ledger.models import Book
from pricing.metrics import metrics
from tests import factories
from tests.api.contract import document
from tests.api.routes import STRICT
from tests.api.writing import Number, written
from tests.factories import FEBRUARY, START

pytestmark = pytest.mark.django_db

# What bodies speak of, so that some requests get past the first look-up.
KNOWN = ["acme", "tokens", "size", "USD", "tokens_monthly", "plan_tokens_monthly", "WATERFALL"]
HINTS = {"customer_id": "acme", "metric": "tokens", "currency": "USD", "offering": "tokens_monthly"}
NUMBERS = st.one_of(
    st.integers(1, 50).map(str),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.sampled_from([
        "0", "-1", "1", "0.002", "1e26", "1E-26", "1e400", "9" * 14, "9" * 15, "9" * 27, "9" * 41,
        "0." + "0" * 11 + "1", "0." + "0" * 12 + "1", "NaN", "Infinity", "-0", "1" + "0" * 25,
    ]),
)  # fmt: skip
MOMENTS = st.one_of(
    st.datetimes().map(lambda moment: f"{moment.isoformat()}Z"),
    st.sampled_from([
        "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-01-01T00:00:00Z",
        "2026-01-01", "2026-02-30T00:00:00Z", "1970-01-01T00:00:00Z", "2199-12-31T23:59:59Z",
    ]),
)  # fmt: skip
TEXTS = st.one_of(
    st.sampled_from(KNOWN), st.text(max_size=20), st.sampled_from(["\x00", "x" * 300])
)
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), TEXTS, NUMBERS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)
    ),
    max_leaves=6,
)  # fmt: skip


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = schema
    if "$ref" in schema:
        found = document()["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return found


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return a strategy for values of a schema, and now and then anything else."""
    sound = _sound(resolved(schema))
    return st.integers(0, 9).flatmap(lambda number: sound if number else ANYTHING)


def _sound(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    choices = [each for word in ("anyOf", "oneOf", "allOf") for each in schema.get(word, ())]
    if choices:
        return st.one_of([values(each) for each in choices])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kind = schema.get("type", "any")
    draw = _BY_TYPE.get(kind if isinstance(kind, str) else kind[0])
    return draw(schema) if draw else ANYTHING


def _texts(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "number" in schema["type"] or schema.get("examples") == ["12.50"]:
        return st.one_of(NUMBERS, NUMBERS.map(_number))
    return MOMENTS if "date" in schema.get("format", "") else TEXTS


def _number(text: str) -> Number:
    return Number(text)


def _objects(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    properties: dict[str, Any] = schema.get("properties", {})
    if not properties:
        return st.dictionaries(TEXTS, ANYTHING, max_size=3)
    required = set(schema.get("required", ()))
    drawn = {
        name: st.one_of(st.just(HINTS[name]), values(each)) if name in HINTS else values(each)
        for name, each in properties.items()
    }
    return st.fixed_dictionaries(
        {name: each for name, each in drawn.items() if name in required},
        optional={name: each for name, each in drawn.items() if name not in required},
    )


_BY_TYPE: dict[str, Callable[[dict[str, Any]], st.SearchStrategy[Any]]] = {
    "object": _objects,
    "array": lambda schema: st.lists(values(schema["items"]), max_size=3),
    "boolean": lambda _: st.booleans(),
    "integer": lambda _: st.one_of(st.integers(), NUMBERS.map(_number)),
    "number": lambda _: NUMBERS.map(_number),
    "string": _texts,
}


def bodies() -> list[tuple[str, str, dict[str, Any]]]:
    """Every operation that takes a body: method, an address, and the schema."""
    known = {"customer_id": "acme", "code": "tokens_monthly"}
    found = []
    for route in STRICT:
        for method in sorted(route.bodies):
            template = route.template.replace("<uuid:", "{").replace("<str:", "{")
            template = template.replace("<int:", "{").replace(">", "}")
            operation = document()["paths"].get(template, {}).get(method)
            if operation is None:
                continue
            address = route.template
            for name, value in known.items():
                address = address.replace(f"<str:{name}>", value)
            content = operation.get("requestBody", {}).get("content", {"": {"schema": {}}})
            schema = next(iter(content.values()))["schema"]
            found.append((method, route.address if "<" in address else address, schema))
    return found


@pytest.fixture
def acme() -> Book:
    """A customer on a clock; its neighbour on the same plan uses 500 tokens, which cost 1."""
    metrics.create_metric(
        livemode=False, code="size", name="Size", aggregation="SUM", property="size"
    )
    book = factories.clocked_customer("acme")
    factories.customer("neighbour", clock=book.test_clock)
    factories.offering(
        charges=[
            *factories.TOKENS_AT_2_MILLS,
            {"code": "s", "model": "PER_UNIT", "metric": "size", "terms": {"unit_price": "1"}},
        ]
    )
    for key in ("acme", "neighbour"):
        factories.subscription(key)
    return book


def goes_on(api: APIClient, book: Book) -> None:
    """Read everything, let a month end and sweep: nothing stops, and the neighbour is billed."""
    sent = factories.event("neighbour", 500, "n", START)
    assert api.post("/v1/ingest", sent).json()["data"]["accepted"] == 1
    for path in (
        "wallets/acme", "usage?customer_id=acme&from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z",
        "usage/unbilled", "ledger/trial-balance", "ledger/verify", "wallets/acme/movements",
        "ledger/reports/trial-balance",
    ):  # fmt: skip
        response: Any = api.get(f"/v1/{path}")
        assert response.status_code == 200, path
        assert b"".join(response)
    factories.advance(book, FEBRUARY)
    call_command("sweep", verbosity=0)
    for key in ("acme", "neighbour"):
        assert Settlement.objects.get(book__key=key, cycle=0).status == "SETTLED"
    bill = Settlement.objects.get(book__key="neighbour", cycle=0)
    assert bill.totals["total"] == "1"
    assert api.get("/v1/settlements").status_code == 200


@pytest.mark.parametrize("of", [0, 1, 2, 3])
def test_any_body(api: APIClient, acme: Book, of: int) -> None:
    """Each operation gets a few dozen bodies; a quarter of the operations in each test."""
    api.raise_request_exception = False

    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def every_operation(data: st.DataObject) -> None:
        for number, (method, address, schema) in enumerate(bodies()):
            if number % 4 != of or "advance" in address:
                continue
            body = data.draw(values(schema))
            if isinstance(body, dict) and data.draw(st.booleans()):
                body["idempotency_key"] = data.draw(st.text(min_size=1, max_size=8))
            response = api.generic(method.upper(), address, written(body), "application/json")
            assert response.status_code < 500, (method, address, written(body), response.content)

    every_operation()
    goes_on(api, acme)


PROPERTIES = st.dictionaries(
    st.sampled_from(["size", "metadata", "a"]), st.one_of(ANYTHING, NUMBERS.map(_number))
)
EVENTS = st.fixed_dictionaries(
    {
        "customerId": st.one_of(st.just("acme"), TEXTS),
        "metricName": st.one_of(st.sampled_from(["tokens", "size"]), TEXTS),
        "quantity": st.one_of(st.integers(1, 100), NUMBERS.map(_number), ANYTHING),
        "occurredAt": st.one_of(st.just("2026-01-01T00:00:00Z"), MOMENTS, st.integers()),
        "idempotencyKey": st.text(min_size=1, max_size=5),
    }
)


def test_any_event(api: APIClient, acme: Book) -> None:
    """By either generation's address; one metric adds up a property that may be anything."""

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(events=st.lists(st.tuples(EVENTS, PROPERTIES), min_size=1, max_size=10))
    def every_batch(events: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
        batch = {"events": [event | properties for event, properties in events]}
        response = api.generic("POST", "/v1/ingest/batch", written(batch), "application/json")
        assert response.status_code in {202, 400}, (written(batch), response.content)
        if response.status_code == 202:
            data = response.json()["data"]
            assert data["accepted"] + data["duplicates"] + data["failed"] == len(events)
            single = api.generic(
                "POST", "/api/v1/ingest", written(batch["events"][0]), "application/json"
            )
            assert single.status_code == 202

    every_batch()
    goes_on(api, acme)
