"""What is done under an idempotency key has a name that no address changes."""

from __future__ import annotations

import re
from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest
from django.urls import include, path
from rest_framework.test import APIClient

from aforo.access.models import KeyedRequest
from billing.api.backtests import PlanBacktestView
from billing.models import Backtest
from pricing.api.metrics import MetricsView
from pricing.models import Metric
from tests import factories
from tests.api.routes import OWN
from wallets.api.debits import DebitView
from wallets.models import Debit, Operation

pytestmark = pytest.mark.django_db

# The addresses after a change: nothing else than these differs.
urlpatterns = [
    path("v1/moved/metrics", MetricsView.as_view()),
    path("v1/moved/debit", DebitView.as_view()),
    path("v1/moved/plans/<str:code>/backtest", PlanBacktestView.as_view()),
    path("", include("aforo.urls")),
]
POSTS = [route for route in OWN if "post" in route.methods]
# They change nothing, or what they take has keys of its own, or they state what shall be.
WITHOUT_KEY = {
    "/v1/pricing/preview",
    "/v1/wallets/check",
    "/v1/quota/check",
    "/api/v1/quota/check",
    "/v1/rate-plans/<str:code>/preview",
    "/v1/offerings/<str:code>/migration-preview",
    "/v1/wallets/debits/batch",
    "/v1/wallets/captures/batch",
    "/v1/events",
    "/v1/ingest",
    "/v1/ingest/batch",
    "/v1/ingest/events",
    "/api/v1/ingest",
    "/api/v1/ingest/batch",
    "/api/v1/ingest/events",
    "/v1/test-clocks/<uuid:clock_id>/advance",
}


def test_every_post_that_takes_a_key_has_a_name() -> None:
    named = {route.template for route in POSTS if route.view.operation}  # type: ignore[attr-defined]

    assert {route.template for route in POSTS} - named == WITHOUT_KEY


def test_a_name_is_of_one_operation_and_of_no_address() -> None:
    done_by: dict[str, set[Any]] = defaultdict(set)
    for route in POSTS:
        done_by[route.view.operation].add(route.view.post)  # type: ignore[attr-defined]
    del done_by[""]

    assert len(done_by) == 62
    assert [name for name, posts in done_by.items() if len(posts) > 1] == []
    assert len({post for posts in done_by.values() for post in posts}) == len(done_by)
    assert [name for name in done_by if not re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", name)] == []


@pytest.mark.urls(__name__)
def test_a_replay_outlives_a_change_of_address(api: APIClient) -> None:
    factories.customer("cust_1")
    factories.top_up("cust_1", "30")
    metric = {"code": "words", "name": "Words", "aggregation": "SUM"}
    debit = {"customer_id": "cust_1", "amount": "10", "idempotency_key": "k"}

    first = [
        api.post("/v1/metrics", metric, HTTP_IDEMPOTENCY_KEY="k"),
        api.post("/v1/wallets/debit", debit),
    ]
    before = factories.everything()
    again = [
        api.post("/v1/moved/metrics", metric, HTTP_IDEMPOTENCY_KEY="k"),
        api.post("/v1/moved/debit", debit),
    ]

    assert [each.status_code for each in first] == [201, 200]
    assert [(each.status_code, each.content) for each in again] == [
        (each.status_code, each.content) for each in first
    ]
    assert [each.get("Idempotency-Replayed") for each in [*first, *again]] == [
        None, None, "true", "true",
    ]  # fmt: skip
    assert (Metric.objects.filter(code="words").count(), Debit.objects.count()) == (1, 1)
    assert Debit.objects.get().quantity == Decimal(10)
    assert KeyedRequest.objects.get().operation == "pricing.metrics.create"
    assert Operation.objects.get(key="k").operation == "wallets.debit"
    assert factories.everything() == before


@pytest.mark.urls(__name__)
def test_other_content_is_refused_at_every_address(api: APIClient) -> None:
    factories.customer("cust_1")
    factories.top_up("cust_1", "30")
    factories.debit("cust_1", "10", "k")
    metric = {"code": "words", "name": "Words", "aggregation": "SUM"}
    api.post("/v1/metrics", metric, HTTP_IDEMPOTENCY_KEY="k")
    before = factories.everything()

    refused = [
        api.post("/v1/moved/metrics", metric | {"name": "Verbs"}, HTTP_IDEMPOTENCY_KEY="k"),
        api.post(
            "/v1/moved/debit", {"customer_id": "cust_1", "amount": "11", "idempotency_key": "k"}
        ),
    ]

    assert [(each.status_code, each.json()["code"]) for each in refused] == [
        (422, "key_reused"), (422, "key_reused"),
    ]  # fmt: skip
    assert [each.json()["errors"][0]["pointer"] for each in refused] == ["/name", "/amount"]
    assert factories.everything() == before


def test_a_key_of_another_operation_is_refused_by_its_name(api: APIClient) -> None:
    metric = {"code": "words", "name": "Words", "aggregation": "SUM"}
    customer = {"id": "cust_1", "name": "One"}
    api.post("/v1/metrics", metric, HTTP_IDEMPOTENCY_KEY="k")
    before = factories.everything()

    refused = api.post("/v1/customers", customer, HTTP_IDEMPOTENCY_KEY="k")

    assert (refused.status_code, refused.json()["code"]) == (422, "key_reused")
    assert refused.json()["detail"] == "The key k was used for pricing.metrics.create."
    assert factories.everything() == before


@pytest.mark.urls(__name__)
def test_the_plan_of_a_backtest_is_content_and_not_a_name(api: APIClient) -> None:
    factories.offering("one")
    factories.offering("other")
    body = {"from": "2026-01-01T00:00:00Z", "to": "2026-06-01T00:00:00Z"}

    first = api.post("/v1/rate-plans/plan_one/backtest", body, HTTP_IDEMPOTENCY_KEY="b")
    again = api.post("/v1/moved/plans/plan_one/backtest", body, HTTP_IDEMPOTENCY_KEY="b")
    other = api.post("/v1/rate-plans/plan_other/backtest", body, HTTP_IDEMPOTENCY_KEY="b")

    assert (first.status_code, again.content) == (202, first.content)
    assert (other.status_code, other.json()["code"]) == (422, "key_reused")
    assert other.json()["errors"][0]["pointer"] == "/code"
    assert Backtest.objects.count() == 1
