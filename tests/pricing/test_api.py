"""The catalogue over HTTP: lists, modes, scopes, replays, the price preview, coupons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from aforo.access.models import ApiScope
from aforo.access.services import create_api_key
from aforo.errors import DomainError
from pricing.models import Coupon, Metric, Offering, RatePlan, RatePlanVersion
from pricing.offerings import coupons
from tests import factories
from tests.concurrency.threads import at_once

pytestmark = pytest.mark.django_db

PLAN: dict[str, Any] = {
    "code": "p",
    "name": "P",
    "currency": "USD",
    "charges": factories.TOKENS_AT_2_MILLS,
}
TIERS = {
    "tiers": [
        {"up_to": 1000, "unit_price": "0.010"},
        {"up_to": 10000, "unit_price": "0.008"},
        {"up_to": None, "unit_price": "0.005"},
    ]
}


@pytest.mark.parametrize("path", ["metrics", "rate-plans", "offerings"])
def test_a_list_is_paged_newest_first_in_constant_queries(api: APIClient, path: str) -> None:
    factories.metric("m0")
    factories.offering("o0")

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert api.get(f"/v1/{path}").status_code == 200
        return len(captured)

    queries()  # The first call reads the key.
    before = queries()
    for n in range(1, 8):
        factories.metric(f"m{n}")
        factories.offering(f"o{n}")

    assert queries() == before
    first = api.get(f"/v1/{path}?page_size=3").json()
    second = api.get(first["next"]).json()
    seen = [row["code"] for row in [*first["data"], *second["data"]]]
    assert len(seen) == len(set(seen)) == 6
    assert seen[0].endswith("7")


def test_lists_are_filtered(api: APIClient) -> None:
    factories.offering("a")
    factories.offering("b", billing_mode="PREPAID")

    found = api.get("/v1/offerings?billing_mode=PREPAID").json()["data"]

    assert [offering["code"] for offering in found] == ["b"]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/metrics/tokens",
        "/v1/rate-plans/plan_o",
        "/v1/rate-plans/plan_o/versions",
        "/v1/rate-plans/plan_o/versions/1",
        "/v1/rate-plans/plan_o/diff?from=1&to=1",
        "/v1/offerings/o",
        "/v1/coupons/TEN",
    ],
)
def test_another_mode_does_not_exist(api: APIClient, live_api: APIClient, path: str) -> None:
    factories.offering("o")
    coupon = {"code": "TEN", "type": "PERCENT", "value": 10, "duration": "ONCE"}
    assert api.post("/v1/coupons", coupon).status_code == 201

    assert api.get(path).status_code == 200
    assert live_api.get(path).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("patch", "/v1/metrics/tokens", {"name": "Mine"}),
        ("patch", "/v1/rate-plans/plan_o", {"minimum_spend": "5"}),
        ("post", "/v1/rate-plans/plan_o/versions", {}),
        ("post", "/v1/rate-plans/plan_o/publish", {}),
        ("post", "/v1/rate-plans/plan_o/versions/1/retire", {}),
        ("patch", "/v1/offerings/o", {"status": "ARCHIVED"}),
    ],
)
def test_another_mode_is_not_changed(
    live_api: APIClient, method: str, path: str, body: dict[str, Any]
) -> None:
    factories.offering("o")
    call: Callable[..., Any] = getattr(live_api, method)

    assert call(path, body).status_code == 404
    assert Metric.objects.get().name == "tokens"
    assert RatePlanVersion.objects.get().status == "PUBLISHED"
    assert Offering.objects.get().status == "ACTIVE"


@pytest.mark.parametrize(
    "path",
    ["/v1/metrics/a%00b", "/v1/rate-plans/a%00b", "/v1/offerings/a%00b", "/v1/coupons/a%00b"],
)
def test_a_code_that_cannot_exist_does_not(api: APIClient, path: str) -> None:
    assert api.get(path).status_code == 404


def test_the_catalogue_asks_for_its_scope() -> None:
    _, secret = create_api_key(
        livemode=False, name="no catalogue", scopes=[s for s in ApiScope.values if s != "catalog"]
    )
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")

    written = client.post("/v1/metrics", {"code": "m", "name": "M", "aggregation": "COUNT"})

    assert (written.status_code, written.json()["code"]) == (403, "forbidden")
    assert client.get("/v1/rate-plans").status_code == 403
    assert client.get("/v1/coupons").status_code == 200
    assert not Metric.objects.exists()


def test_a_key_is_answered_once(api: APIClient) -> None:
    factories.metric()
    key = {"HTTP_IDEMPOTENCY_KEY": "k"}

    first = api.post("/v1/rate-plans", PLAN, **key)  # type: ignore[arg-type]
    again = api.post("/v1/rate-plans", PLAN, **key)  # type: ignore[arg-type]
    other = api.post("/v1/rate-plans", PLAN | {"name": "Q"}, **key)  # type: ignore[arg-type]

    assert first.status_code == 201
    assert (again.content, again["Idempotency-Replayed"]) == (first.content, "true")
    assert (other.status_code, other.json()["code"]) == (422, "key_reused")
    assert RatePlan.objects.count() == 1


def test_an_archived_offering_keeps_its_subscriptions_and_takes_no_more(api: APIClient) -> None:
    factories.offering()
    for key in ("cust_1", "cust_2"):
        factories.customer(key)
    kept = factories.subscription("cust_1")

    archived = api.patch("/v1/offerings/tokens_monthly", {"status": "ARCHIVED"})
    refused = api.post("/v1/subscriptions", {"customer_id": "cust_2", "offering": "tokens_monthly"})

    assert archived.json()["status"] == "ARCHIVED"
    assert refused.status_code in {409, 422}
    assert api.get(f"/v1/subscriptions/{kept.pk}").json()["status"] == "ACTIVE"


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"code": "a b"}, "/code"),
        ({"interval": "DECADE"}, "/interval"),
        ({"interval_count": 0}, "/interval_count"),
        ({"trial_days": -1}, "/trial_days"),
        ({"billing_mode": "FREE"}, "/billing_mode"),
        ({"status": "ARCHIVED"}, "/status"),
        ({"overage_limit": "-1"}, "/overage_limit"),
        ({"rate_plan": "no"}, "/rate_plan"),
        ({"price": 1}, "/price"),
    ],
)
def test_a_bad_offering(api: APIClient, changes: dict[str, Any], pointer: str) -> None:
    factories.offering("first")
    offering = {"code": "o", "name": "O", "rate_plan": "plan_first", "billing_mode": "HYBRID",
                "interval": "MONTH"} | changes  # fmt: skip

    refused = api.post("/v1/offerings", offering)

    assert refused.status_code == 422
    assert [e["pointer"] for e in refused.json()["errors"]] == [pointer]
    assert Offering.objects.count() == 1


@pytest.mark.parametrize(
    ("model", "terms", "usage", "amount"),
    [
        ("PER_UNIT", {"unit_price": "0.0000025"}, {"quantity": 3}, "0.0000075"),
        ("PER_UNIT", {"unit_price": 2, "included_quantity": 10}, {"quantity": 12}, "4"),
        ("FLAT_RATE", {"flat_fee": "20"}, {"quantity": 99}, "20"),
        ("FLAT_RATE", {"flat_fee": "20"}, {}, "20"),
        ("GRADUATED", TIERS, {"quantity": 15000}, "107"),
        ("VOLUME", TIERS, {"quantity": 15000}, "75"),
        ("VOLUME", TIERS, {"quantity": "10000"}, "80"),
        (
            "INCLUDED_QUOTA",
            {"included_quantity": 100, "block_size": 50, "block_price": 4},
            {"quantity": 151},
            "8",
        ),
        ("PERCENTAGE", {"percent": "2.5", "fixed_fee_per_event": "0.30"},
         {"value": 200, "events": 3}, "5.9"),
        ("PERCENTAGE", {"percent": 1, "minimum_fee": 7}, {"value": 0, "events": 0}, "7"),
    ],
)  # fmt: skip
def test_a_charge_is_previewed_step_by_step(
    api: APIClient, model: str, terms: dict[str, Any], usage: dict[str, Any], amount: str
) -> None:
    charge = {"code": "c", "model": model, "metric": "anything", "terms": terms}

    response = api.post("/v1/pricing/preview", {"charge": charge} | usage)

    assert response.status_code == 200
    assert response.json()["amount"] == amount
    for step in response.json()["steps"]:
        assert step.keys() == {"label", "quantity", "unit_price", "amount"}


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"quantity": None}, "/quantity"),
        ({"quantity": -1}, "/quantity"),
        ({"quantity": "1E+999999"}, "/quantity"),
        ({"events": -1}, "/events"),
        ({"discount": 1}, "/discount"),
        ({"charge": {"code": "c", "model": "PER_UNIT", "terms": {"unit_price": "x"}}},
         "/charge/terms/unit_price"),
        ({"charge": {"code": "c", "model": "GRADUATED", "terms": {"tiers": [
            {"up_to": 5, "unit_price": 1}]}}}, "/charge/terms/tiers/0/up_to"),
        ({"charge": 5}, "/charge"),
    ],
)  # fmt: skip
def test_a_preview_that_cannot_be(api: APIClient, changes: dict[str, Any], pointer: str) -> None:
    charge = {"code": "c", "model": "PER_UNIT", "metric": "m", "terms": {"unit_price": 1}}

    refused = api.post("/v1/pricing/preview", {"charge": charge, "quantity": 1} | changes)

    assert refused.status_code == 422
    assert [e["pointer"] for e in refused.json()["errors"]] == [pointer]


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"value": "100.01"}, "/value"),
        ({"value": 0}, "/value"),
        ({"currency": "USD"}, "/currency"),
        ({"type": "FIXED"}, "/currency"),
        ({"type": "FIXED", "currency": "XXX"}, "/currency"),
        ({"duration": "REPEATING"}, "/cycles"),
        ({"cycles": 3}, "/cycles"),
        ({"max_redemptions": 0}, "/max_redemptions"),
        ({"max_redemptions": 2**31}, "/max_redemptions"),
        ({"code": "a/b"}, "/code"),
        ({"redemptions": 5}, "/redemptions"),
    ],
)
def test_a_bad_coupon(api: APIClient, changes: dict[str, Any], pointer: str) -> None:
    coupon = {"code": "TEN", "type": "PERCENT", "value": 10, "duration": "ONCE"} | changes

    refused = api.post("/v1/coupons", coupon)

    assert refused.status_code == 422
    assert [e["pointer"] for e in refused.json()["errors"]] == [pointer]
    assert not Coupon.objects.exists()


def test_a_coupon_code_is_taken_once(api: APIClient, live_api: APIClient) -> None:
    coupon = {"code": "TEN", "type": "FIXED", "value": "10.50", "currency": "usd",
              "duration": "REPEATING", "cycles": 3, "max_redemptions": 5}  # fmt: skip

    statuses = [client.post("/v1/coupons", coupon).status_code for client in (api, api, live_api)]

    assert statuses == [201, 409, 201]
    shown = api.get("/v1/coupons/TEN").json()
    assert (shown["value"], shown["currency"], shown["redemptions"]) == ("10.5", "USD", 0)


@pytest.mark.django_db(transaction=True)
@pytest.mark.xdist_group("threads")
def test_of_redemptions_that_meet_the_last_ones_win() -> None:
    coupon = {"code": "THREE", "type": "PERCENT", "value": 10, "duration": "ONCE",
              "max_redemptions": 3}  # fmt: skip
    coupons.create_coupon(livemode=False, **coupon)  # type: ignore[arg-type]

    def redeem(number: int) -> str:
        try:
            coupons.redeem_coupon(coupons.get_coupon(livemode=False, code="THREE"))
        except DomainError as error:
            return error.code
        return "THREE"

    outcomes = at_once(10, redeem)

    assert sorted(outcomes) == ["THREE"] * 3 + ["coupon_spent"] * 7
    assert Coupon.objects.get().redemptions == 3
