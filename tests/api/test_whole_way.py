"""The whole way over the API alone, as a new customer of ours would go it."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from aforo.sandbox.models import TestClock
from billing.jobs import test_clocks
from tests import factories

pytestmark = pytest.mark.django_db


def made(api: APIClient, path: str, body: dict[str, Any], status: int = 201) -> dict[str, Any]:
    response = api.post(path, body)
    assert response.status_code == status, response.content
    answer: dict[str, Any] = response.json()
    return answer


PLAN: dict[str, Any] = {
    "code": "ai",
    "name": "AI",
    "currency": "USD",
    "charges": [
        {
            "code": "tokens",
            "model": "GRADUATED",
            "metric": "tokens",
            "terms": {
                "tiers": [
                    {"up_to": 1000, "unit_price": "0.010"},
                    {"up_to": 10000, "unit_price": "0.008"},
                    {"up_to": None, "unit_price": "0.005"},
                ]
            },
        }
    ],
    "grants": [
        {"kind": "PROMO", "metric": "tokens", "quantity": 500, "recurrence": "EVERY_CYCLE",
         "expires_at_cycle_end": True}
    ],
}  # fmt: skip


def subscribe(api: APIClient) -> dict[str, Any]:
    made(api, "/v1/metrics", {"code": "tokens", "name": "Tokens", "aggregation": "SUM"})
    assert made(api, "/v1/rate-plans", PLAN)["status"] == "DRAFT"
    assert made(api, "/v1/rate-plans/ai/publish", {}, 200)["status"] == "PUBLISHED"
    offering = {
        "code": "ai_m", "name": "AI", "rate_plan": "ai", "billing_mode": "HYBRID",
        "interval": "MONTH",
    }  # fmt: skip
    made(api, "/v1/offerings", offering)
    clock = made(api, "/v1/test-clocks", {"now": "2026-01-01T00:00:00Z"})
    made(api, "/v1/customers", {"id": "cust_1", "name": "Ada", "test_clock": clock["id"]})
    answer = made(api, "/v1/subscriptions", {"customer_id": "cust_1", "offering": "ai_m"})
    return answer | {"clock": clock["id"]}


def test_from_configuration_to_settlement(api: APIClient) -> None:
    subscription = subscribe(api)

    assert subscription["status"] == "ACTIVE"
    assert subscription["current_period"] == {
        "starts_at": "2026-01-01T00:00:00Z",
        "ends_at": "2026-02-01T00:00:00Z",
    }
    assert subscription["rate_plan"] == {"code": "ai", "version": 1}
    assert subscription["wallets"] == [{"currency": "USD"}, {"metric": "tokens"}]
    assert [(g["kind"], g["granted"]) for g in subscription["grants"]] == [("PROMO", "500")]

    top_up = {"customer_id": "cust_1", "amount": 50, "currency": "USD", "idempotency_key": "t"}
    made(api, "/v1/wallets/top-ups", top_up)
    event = factories.event("cust_1", 15_500, "e1", factories.START)
    made(api, "/v1/ingest/batch", {"events": [event]}, 202)
    wallet = api.get("/v1/wallets/cust_1").json()
    assert (wallet["wallets"][0]["available"], wallet["wallets"][0]["pending"]) == ("50", "50")
    assert wallet["unit_wallets"][0]["pending"] == "500"

    advance = f"/v1/test-clocks/{subscription['clock']}/advance"
    made(api, advance, {"now": "2026-02-01T00:00:00Z"}, 200)

    (found,) = api.get("/v1/settlements?customer_id=cust_1").json()["data"]
    assert found["status"] == "SETTLED"
    assert found["totals"]["total"] == "107"
    assert found["totals"]["from_wallet"]["CASH"] == "50"
    assert found["totals"]["to_invoice"] == "57"
    invoice = api.get(f"/v1/invoices/{found['invoice']}").json()
    assert (invoice["total"], invoice["from_wallet"], invoice["amount_due"]) == ("107", "50", "57")
    assert [line["amount"] for line in invoice["lines"]] == ["107"]
    assert [step["amount"] for step in invoice["lines"][0]["steps"]] == ["10", "72", "25"]
    entries = api.get("/v1/ledger/entries?customer_id=cust_1").json()["data"]
    events = [entry["event"] for entry in reversed(entries)]
    assert events == ["GRANT", "TOP_UP", "SETTLEMENT", "GRANT", "INVOICE"]
    assert api.get("/v1/ledger/verify").json()["ok"]


def test_a_repeated_post_is_replayed(api: APIClient) -> None:
    body = {"id": "cust_1", "name": "Ada"}
    key = {"Idempotency-Key": "once"}

    first = api.post("/v1/customers", body, headers=key)
    again = api.post("/v1/customers", body, headers=key)
    other = api.post("/v1/customers", body | {"name": "Bob"}, headers=key)
    without = api.post("/v1/customers", body)

    assert (first.status_code, again.content) == (201, first.content)
    assert again["Idempotency-Replayed"] == "true"
    assert (other.status_code, other.json()["code"]) == (422, "key_reused")
    assert other.json()["errors"][0]["pointer"] == "/name"
    assert (without.status_code, without.json()["code"]) == (409, "customer_exists")


def test_personal_data_can_be_changed(api: APIClient) -> None:
    api.post("/v1/customers", {"id": "cust_1", "name": "Ada"})

    changed = api.patch("/v1/customers/cust_1", {"country": "ES", "tags": ["beta"]})
    wrong = api.patch("/v1/customers/cust_1", {"timezone": "Mars/Base"})

    assert (changed.json()["country"], changed.json()["tags"]) == ("ES", ["beta"])
    assert (wrong.status_code, wrong.json()["code"]) == (422, "unknown_timezone")
    assert api.get("/v1/customers/cust_1").json()["timezone"] == "UTC"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"customer_id": "nobody", "offering": "ai_m"}, 404, "unknown_customer"),
        ({"customer_id": "cust_1", "offering": "nothing"}, 422, "unknown_offering"),
        ({"customer_id": "cust_1", "offering": "ai_m"}, 409, "metric_already_subscribed"),
        (
            {"customer_id": "cust_1", "offering": "ai_m", "starts_at": "2030-01-01T00:00:00Z"},
            422,
            "too_late",
        ),
    ],
)
def test_a_subscription_that_cannot_be(
    api: APIClient, body: dict[str, Any], status: int, code: str
) -> None:
    subscribe(api)
    before = factories.everything()

    response = api.post("/v1/subscriptions", body)

    assert (response.status_code, response.json()["code"]) == (status, code)
    assert factories.everything() == before


def test_an_archived_offering_keeps_its_subscriptions_and_takes_no_new_one(api: APIClient) -> None:
    first = subscribe(api)
    api.post("/v1/customers", {"id": "cust_2", "name": "Bob"})
    assert api.patch("/v1/offerings/ai_m", {"status": "ARCHIVED"}).status_code == 200

    refused = api.post("/v1/subscriptions", {"customer_id": "cust_2", "offering": "ai_m"})

    assert (refused.status_code, refused.json()["code"]) == (409, "offering_not_active")
    assert api.get(f"/v1/subscriptions/{first['id']}").json()["status"] == "ACTIVE"


@pytest.mark.parametrize(
    ("charge", "pointer", "code"),
    [
        ({"terms": {"tiers": []}}, "/charges/0/terms/tiers", None),
        ({"metric": "nothing"}, "/charges/0/metric", "unknown_metric"),
        ({"metric": None}, "/charges/0/metric", None),
        ({"model": "MAGIC"}, "/charges/0/model", "invalid_choice"),
        ({"colour": "red"}, "/charges/0/colour", "unknown_field"),
    ],
)
def test_a_plan_that_is_wrong_names_the_field(
    api: APIClient, charge: dict[str, Any], pointer: str, code: str | None
) -> None:
    made(api, "/v1/metrics", {"code": "tokens", "name": "Tokens", "aggregation": "SUM"})
    broken: dict[str, Any] = {**PLAN["charges"][0], **charge}
    body = PLAN | {"charges": [{k: v for k, v in broken.items() if v is not None}]}

    response = api.post("/v1/rate-plans", body)

    assert response.status_code == 422
    first = response.json()["errors"][0]
    assert first["pointer"] == pointer
    assert code is None or first["code"] == code
    assert api.get("/v1/rate-plans").json()["data"] == []


def test_the_price_preview_explains_itself(api: APIClient) -> None:
    charge = PLAN["charges"][0]

    answer = made(api, "/v1/pricing/preview", {"charge": charge, "quantity": 15_000}, 200)

    assert answer["amount"] == "107"
    assert [step["amount"] for step in answer["steps"]] == ["10", "72", "25"]


def test_a_clock_only_moves_forward_and_only_in_the_sandbox(
    api: APIClient, live_api: APIClient
) -> None:
    clock = made(api, "/v1/test-clocks", {"now": "2026-01-02T00:00:00Z"})
    address = f"/v1/test-clocks/{clock['id']}/advance"

    back = api.post(address, {"now": "2026-01-01T00:00:00Z"})
    foreign = live_api.post(address, {"now": "2026-02-01T00:00:00Z"})
    live = live_api.post("/v1/test-clocks", {"now": "2026-01-01T00:00:00Z"})

    assert (back.status_code, back.json()["code"]) == (422, "in_the_past")
    assert foreign.status_code == 404
    assert (live.status_code, live.json()["code"]) == (422, "test_clock_in_live_mode")


def test_a_clock_that_is_being_advanced_is_busy_until_its_lease_is_over(api: APIClient) -> None:
    clock = made(api, "/v1/test-clocks", {"now": "2026-01-01T00:00:00Z"})
    address, to = f"/v1/test-clocks/{clock['id']}/advance", {"now": "2026-01-02T00:00:00Z"}
    TestClock.objects.update(advancing_since=timezone.now())

    busy = api.post(address, to)
    TestClock.objects.update(advancing_since=timezone.now() - test_clocks.LEASE * 2)
    free = api.post(address, to)

    assert (busy.status_code, busy.json()["code"]) == (409, "clock_advancing")
    assert (free.status_code, free.json()["now"]) == (200, "2026-01-02T00:00:00Z")
    assert TestClock.objects.get().advancing_since is None


def test_lists_are_paged_newest_first(api: APIClient) -> None:
    for n in range(5):
        api.post("/v1/customers", {"id": f"cust_{n}", "name": "Ada"})

    first = api.get("/v1/customers?page_size=3").json()
    second = api.get(first["next"]).json()

    assert [c["id"] for c in first["data"]] == ["cust_4", "cust_3", "cust_2"]
    assert [c["id"] for c in second["data"]] == ["cust_1", "cust_0"]
    assert second["next"] is None
