"""Versions: drafted, published for ever, compared; metrics in use; offerings."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from rest_framework.test import APIClient

from pricing.models import Charge, GrantTemplate, Metric, RatePlanVersion
from pricing.offerings import offerings
from tests import factories

pytestmark = pytest.mark.django_db

GRANT: dict[str, Any] = {"kind": "PROMO", "amount": 5, "recurrence": "ONCE"}


def body(**changes: Any) -> dict[str, Any]:
    return {"charges": factories.TOKENS_AT_2_MILLS, "grants": [GRANT]} | changes


@pytest.fixture
def published(api: APIClient) -> RatePlanVersion:
    factories.metric()
    plan = {"code": "p", "name": "P", "currency": "USD"} | body()
    assert api.post("/v1/rate-plans", plan).status_code == 201
    assert api.post("/v1/rate-plans/p/publish", {}).status_code == 200
    return RatePlanVersion.objects.get()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE pricing_rateplanversion SET minimum_spend = 5",
        "DELETE FROM pricing_rateplanversion",
        "UPDATE pricing_charge SET terms = '{}'",
        "DELETE FROM pricing_chargemetric",
        "DELETE FROM pricing_granttemplate",
        "UPDATE pricing_granttemplate SET quantity = 1000",
        "UPDATE pricing_metric SET aggregation = 'MAX'",
        "INSERT INTO pricing_granttemplate SELECT * FROM pricing_granttemplate",
    ],
)
def test_a_published_version_refuses_any_change(published: RatePlanVersion, change: str) -> None:
    with (
        pytest.raises(IntegrityError, match=r"never changes|keeps its aggregation"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(change)

    published.refresh_from_db()
    assert published.minimum_spend is None
    assert (Charge.objects.count(), GrantTemplate.objects.count()) == (1, 1)


def test_a_published_version_can_be_retired(published: RatePlanVersion) -> None:
    RatePlanVersion.objects.update(status="RETIRED")

    published.refresh_from_db()
    assert published.status == "RETIRED"


def test_the_next_draft_is_edited_freely_and_compared(
    api: APIClient, published: RatePlanVersion
) -> None:
    assert api.post("/v1/rate-plans/p/versions", body()).status_code == 201
    dearer = [factories.TOKENS_AT_2_MILLS[0] | {"terms": {"unit_price": "0.003"}}]

    again = api.post("/v1/rate-plans/p/versions", body())
    edited = api.patch("/v1/rate-plans/p", body(charges=dearer, minimum_spend="9", grants=[]))

    assert (again.status_code, again.json()["code"]) == (409, "draft_exists")
    assert (edited.json()["version"], edited.json()["status"]) == (2, "DRAFT")
    changes = api.get("/v1/rate-plans/p/diff?from=1&to=2").json()
    assert {"field": "/minimum_spend", "before": None, "after": "9"} in changes
    assert {
        "field": "/charges/tokens/terms/unit_price",
        "before": "0.002",
        "after": "0.003",
    } in changes
    assert {"field": "/grants/grant_1/quantity", "before": "5", "after": None} in changes
    assert api.get("/v1/rate-plans/p/versions/1").json()["minimum_spend"] is None


def test_without_a_draft_there_is_nothing_to_edit_or_publish(
    api: APIClient, published: RatePlanVersion
) -> None:
    edited = api.patch("/v1/rate-plans/p", body())
    again = api.post("/v1/rate-plans/p/publish", {})

    assert (edited.status_code, edited.json()["code"]) == (409, "no_draft")
    assert (again.status_code, again.json()["code"]) == (409, "no_draft")


@pytest.mark.parametrize(
    ("changes", "pointers"),
    [
        ({"grants": [GRANT | {"metric": "tokens"}]}, ["/grants/0/amount"]),
        ({"grants": [{"kind": "PROMO"}]}, ["/grants/0/amount"]),
        (
            {"grants": [GRANT | {"expires_after_days": 5, "expires_at_cycle_end": True}]},
            ["/grants/0/expires_after_days"],
        ),
        ({"grants": [GRANT | {"rollover": {"mode": "SOME"}}]}, ["/grants/0/rollover/mode"]),
        ({"burn_order": ["CASH", "CASH"]}, ["/burn_order"]),
        ({"minimum_spend": 5, "maximum_spend": 4}, ["/minimum_spend"]),
        ({"caps": {"nothing": 5}}, ["/caps/nothing"]),
        (
            {"charges": [*factories.TOKENS_AT_2_MILLS, *factories.TOKENS_AT_2_MILLS]},
            ["/charges/1/code"],
        ),
        (
            {
                "charges": [
                    factories.TOKENS_AT_2_MILLS[0] | {"metric": "x", "terms": {"unit_price": -1}}
                ]
            },
            ["/charges/0/terms/unit_price", "/charges/0/metric"],
        ),
    ],
)
def test_every_fault_is_named_at_once(
    api: APIClient, changes: dict[str, Any], pointers: list[str]
) -> None:
    factories.metric()

    response = api.post(
        "/v1/rate-plans", {"code": "p", "name": "P", "currency": "USD"} | body(**changes)
    )

    assert response.status_code == 422
    assert [e["pointer"] for e in response.json()["errors"]] == pointers
    assert not RatePlanVersion.objects.exists()


def test_a_metric_in_use_keeps_what_it_measures(api: APIClient, published: RatePlanVersion) -> None:
    refused = api.patch("/v1/metrics/tokens", {"aggregation": "MAX"})
    renamed = api.patch("/v1/metrics/tokens", {"name": "All tokens"})

    assert (refused.status_code, refused.json()["code"]) == (409, "metric_in_use")
    assert renamed.status_code == 200
    metric = Metric.objects.get()
    assert (metric.aggregation, metric.name) == ("SUM", "All tokens")


def test_codes_are_taken_once_a_mode(api: APIClient, live_api: APIClient) -> None:
    metric = {"code": "m", "name": "M", "aggregation": "COUNT"}

    statuses = [client.post("/v1/metrics", metric).status_code for client in (api, api, live_api)]

    assert statuses == [201, 409, 201]


def test_an_offering_needs_a_published_plan(api: APIClient) -> None:
    factories.metric()
    api.post("/v1/rate-plans", {"code": "p", "name": "P", "currency": "USD"} | body())
    offering = {"code": "o", "name": "O", "rate_plan": "p", "billing_mode": "HYBRID",
                "interval": "MONTH"}  # fmt: skip

    early = api.post("/v1/offerings", offering)
    drafted = api.post("/v1/offerings", offering | {"status": "DRAFT"})
    unknown = api.post("/v1/offerings", offering | {"rate_plan": "q"})

    assert (early.status_code, early.json()["code"]) == (409, "not_published")
    assert drafted.status_code == 201
    assert (unknown.status_code, unknown.json()["code"]) == (422, "unknown_rate_plan")
    assert offerings.get_offering(livemode=False, code="o").status == "DRAFT"
