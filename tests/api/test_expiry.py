"""A day alone as `expires_at` is included to its end, in the customer's zone."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import LazySettings
from rest_framework.test import APIClient

from tests import factories

pytestmark = pytest.mark.django_db

GRANT = {
    "customer_id": "cust_1", "kind": "PROMO", "amount": "5", "currency": "USD", "reason": "x",
    "idempotency_key": "g",
}  # fmt: skip
TOP_UP = {"customer_id": "cust_1", "amount": "5", "currency": "USD", "idempotency_key": "t"}


@pytest.mark.parametrize(
    ("zone", "day", "instant"),
    [
        ("UTC", "2099-03-31", "2099-04-01T00:00:00Z"),
        ("Europe/Madrid", "2027-03-31", "2027-03-31T22:00:00Z"),
        ("Europe/Madrid", "2027-12-31", "2027-12-31T23:00:00Z"),
        ("America/New_York", "2027-12-31", "2028-01-01T05:00:00Z"),
        ("Pacific/Kiritimati", "2028-02-29", "2028-02-29T10:00:00Z"),
        ("Asia/Kathmandu", "2027-06-01", "2027-06-01T18:15:00Z"),
        # The clocks go forward within the day, and it still ends at midnight.
        ("Europe/Madrid", "2027-03-28", "2027-03-28T22:00:00Z"),
    ],
)
def test_a_day(api: APIClient, zone: str, day: str, instant: str) -> None:
    api.post("/v1/customers", {"id": "cust_1", "name": "One", "timezone": zone})

    granted = api.post("/v1/wallets/grants", GRANT | {"expires_at": day})
    bought = api.post("/v1/wallets/top-ups", TOP_UP | {"expires_at": day})

    for answer in (granted, bought):
        assert answer.status_code == 201
        assert answer.json()["lots"][0]["expires_at"] == instant
    again = api.post("/v1/wallets/grants", GRANT | {"expires_at": day})
    assert again["Idempotency-Replayed"] == "true"
    as_instant = api.post("/v1/wallets/grants", GRANT | {"expires_at": instant})
    assert as_instant.content == granted.content


def test_the_credits_are_there_all_day(api: APIClient) -> None:
    """On a clock at 21:59:59 UTC of the last day in Madrid; a second later it is over."""
    clock = api.post("/v1/test-clocks", {"now": "2026-03-31T21:59:59Z"}).json()["id"]
    who = {"id": "cust_1", "name": "One", "timezone": "Europe/Madrid", "test_clock": clock}
    api.post("/v1/customers", who)
    api.post("/v1/wallets/grants", GRANT | {"expires_at": "2026-03-31"})

    before = api.get("/v1/wallets/cust_1").json()["wallets"][0]["available"]
    api.post(f"/v1/test-clocks/{clock}/advance", {"now": "2026-03-31T22:00:00Z"})
    after = api.get("/v1/wallets/cust_1").json()["wallets"][0]["available"]

    assert (before, after) == ("5", "0")


@pytest.mark.parametrize(
    "day", ["2026-02-30", "0001-01-01", "9999-12-31", "1969-12-31", "2200-01-01", "31.03.2027", 7]
)
def test_no_day(api: APIClient, day: object) -> None:
    factories.customer("cust_1")
    before = factories.everything()

    for path, body in (("/v1/wallets/grants", GRANT), ("/v1/wallets/top-ups", TOP_UP)):
        problem = api.post(path, body | {"expires_at": day}).json()
        assert problem["status"] == 422
        assert problem["errors"][0]["pointer"] == "/expires_at"
    assert factories.everything() == before


def test_a_day_that_is_over(api: APIClient) -> None:
    factories.customer("cust_1")

    problem = api.post("/v1/wallets/grants", GRANT | {"expires_at": "2020-01-01"}).json()

    assert (problem["status"], problem["errors"][0]["pointer"]) == (422, "/expires_at")


def test_a_day_for_nobody(api: APIClient) -> None:
    response = api.post("/v1/wallets/grants", GRANT | {"expires_at": "2099-01-01"})

    assert (response.status_code, response.json()["code"]) == (404, "unknown_customer")


def test_a_campaigns_day_is_the_companys(api: APIClient, settings: LazySettings) -> None:
    settings.ENTITY_TIMEZONE = "Europe/Madrid"
    terms: dict[str, Any] = {
        "code": "c", "name": "C", "trigger": "CODE", "kind": "PROMO", "amount": "5",
        "currency": "USD", "expires_at": "2027-03-31",
    }  # fmt: skip

    made = api.post("/v1/campaigns", terms)
    changed = api.patch("/v1/campaigns/c", {"expires_at": "2027-12-31"})

    assert made.json()["expires_at"] == "2027-03-31T22:00:00Z"
    assert changed.json()["expires_at"] == "2027-12-31T23:00:00Z"
