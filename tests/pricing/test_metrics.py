"""Metrics: what they count is sound before any event comes in, and stays once it is priced."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from billing.usage import aggregates
from pricing.models import Metric
from tests import factories

pytestmark = pytest.mark.django_db


def rule(op: str, *value: Any, of: str = "tier") -> dict[str, Any]:
    return {"property": of, "op": op} | ({"value": value[0]} if value else {})


def metric(**changes: Any) -> dict[str, Any]:
    return {"code": "calls", "name": "Calls", "aggregation": "COUNT"} | changes


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (rule("eq", "pro"), "pro"),
        (rule("eq", True), "true"),
        (rule("ne", 5), "5"),
        (rule("gt", 1000), "1000"),
        (rule("gte", "-2.50"), "-2.5"),
        (rule("lt", -3), "-3"),
        (rule("in", ["pro", 7, False]), ["pro", "7", "false"]),
        (rule("contains", "gpt"), "gpt"),
        (rule("exists"), True),
        (rule("exists", False), False),
    ],
)
def test_a_filter_is_kept_as_events_read(api: APIClient, sent: dict[str, Any], kept: Any) -> None:
    response = api.post("/v1/metrics", metric(filters=[sent]))

    assert response.status_code == 201
    assert response.json()["filters"] == [{"property": "tier", "op": sent["op"], "value": kept}]
    assert api.get("/v1/metrics/calls").json() == response.json()


def test_a_bound_with_a_fraction_is_read_exactly(api: APIClient) -> None:
    raw = (
        b'{"code": "c", "name": "C", "aggregation": "COUNT",'
        b' "filters": [{"property": "size", "op": "gt", "value": 0.1}]}'
    )

    response = api.post("/v1/metrics", raw, content_type="application/json")

    assert response.json()["filters"][0]["value"] == "0.1"


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"filters": [rule("gt", "much")]}, "/filters/0/value", "invalid_value"),
        ({"filters": [rule("lte", True)]}, "/filters/0/value", "invalid_value"),
        ({"filters": [rule("gt")]}, "/filters/0/value", "invalid_value"),
        ({"filters": [rule("gt", "--5")]}, "/filters/0/value", "invalid_value"),
        ({"filters": [rule("lt", "1E+999999")]}, "/filters/0/value", "invalid_value"),
        ({"filters": [rule("eq")]}, "/filters/0/value", "invalid_value"),
        ({"filters": [rule("eq", "")]}, "/filters/0/value", "invalid_value"),
        ({"filters": [rule("eq", {"a": 1})]}, "/filters/0/value", "invalid_value"),
        ({"filters": [rule("eq", "a\x00b")]}, "/filters/0/value", "invalid_value"),
        ({"filters": [rule("eq", "x" * 256)]}, "/filters/0/value", "invalid_value"),
        ({"filters": [rule("in", "pro")]}, "/filters/0/value", "invalid_value"),
        ({"filters": [rule("not_in", [])]}, "/filters/0/value", "invalid_value"),
        ({"filters": [rule("in", ["a", ["b"]])]}, "/filters/0/value", "invalid_value"),
        ({"filters": [rule("exists", "yes")]}, "/filters/0/value", "invalid_value"),
        ({"filters": [rule("eq", "a"), rule("gt", "b")]}, "/filters/1/value", "invalid_value"),
        ({"filters": [rule("like", "a")]}, "/filters/0/op", "invalid_choice"),
        ({"filters": [{"op": "exists"}]}, "/filters/0/property", "required"),
        ({"filters": [rule("eq", "a") | {"not": 1}]}, "/filters/0/not", "unknown_field"),
        ({"filters": [rule("eq", "a")] * 51}, "/filters", "too_many"),
        ({"aggregation": "UNIQUE"}, "/property", "required"),
        ({"aggregation": "MEDIAN"}, "/aggregation", "invalid_choice"),
        ({"code": "a/b"}, "/code", "invalid"),
        ({"code": ""}, "/code", "blank"),
        ({"code": "c" * 256}, "/code", "max_length"),
        ({"name": "a\x00"}, "/name", "null_characters_not_allowed"),
        ({"unit": "token"}, "/unit", "unknown_field"),
    ],
)
def test_a_bad_metric(api: APIClient, changes: dict[str, Any], pointer: str, code: str) -> None:
    response = api.post("/v1/metrics", metric(**changes))

    assert response.status_code == 422
    assert [(e["pointer"], e["code"]) for e in response.json()["errors"]] == [(pointer, code)]
    assert not Metric.objects.exists()


def test_a_change_is_held_against_what_stays(api: APIClient) -> None:
    factories.metric("calls")

    refused = api.patch("/v1/metrics/calls", {"aggregation": "UNIQUE"})
    changed = api.patch("/v1/metrics/calls", {"aggregation": "UNIQUE", "property": "user"})

    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/property")
    assert (changed.json()["aggregation"], changed.json()["property"]) == ("UNIQUE", "user")


def test_a_metric_that_only_a_draft_prices_is_in_use(api: APIClient) -> None:
    factories.metric()
    plan = {"code": "p", "name": "P", "currency": "USD", "charges": factories.TOKENS_AT_2_MILLS}
    assert api.post("/v1/rate-plans", plan).status_code == 201

    for change in ({"aggregation": "MAX"}, {"property": "x"}, {"filters": [rule("exists")]}):
        refused = api.patch("/v1/metrics/tokens", change)
        assert (refused.status_code, refused.json()["code"]) == (409, "metric_in_use")

    kept = Metric.objects.get()
    assert (kept.aggregation, kept.property, kept.filters) == ("SUM", "", [])


@pytest.mark.parametrize(
    ("filters", "counted"),
    [
        ([rule("eq", True, of="cached")], 1),
        ([rule("ne", True, of="cached")], 2),
        ([rule("gt", 10, of="size")], 1),
        ([rule("in", ["pro", "team"])], 2),
        ([rule("not_in", ["pro"])], 2),
        ([rule("exists", False)], 1),
        ([rule("contains", "ea")], 1),
    ],
)
def test_events_are_counted_by_what_the_filters_say(
    api: APIClient, filters: list[dict[str, Any]], counted: int
) -> None:
    book = factories.clocked_customer()
    api.post("/v1/metrics", metric(filters=filters))
    sent = [{"tier": "pro", "cached": True}, {"tier": "team", "size": 11}, {"size": 10}]
    events = [
        factories.event("cust_1", 1, f"e{n}", factories.START, metric="calls") | properties  # type: ignore[operator]
        for n, properties in enumerate(sent)
    ]
    accepted = api.post("/v1/ingest/batch", {"events": events}).json()["data"]["accepted"]

    measured = aggregates.aggregate(
        metric=Metric.objects.get(),
        book_id=book.pk,
        starts_at=factories.START,
        ends_at=factories.FEBRUARY,
    )

    assert accepted == 3
    assert measured.quantity == Decimal(counted)
