"""Usage reserved before it is served: held at the marginal price, charged as it came."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from billing.models import UsageEvent
from billing.services import proof
from tests import factories
from tests.billing.test_realtime import advance, meter, subscribed, use
from tests.factories import START

pytestmark = pytest.mark.django_db


def reserve(api: APIClient, quantity: int, key: str = "r1", **terms: Any) -> Any:
    body = {"customer_id": "cust_1", "metric": "tokens", "quantity": quantity}
    return api.post("/v1/usage/reserve", body | {"idempotency_key": key} | terms)


def capture(api: APIClient, reservation: str, key: str = "c1", **terms: Any) -> Any:
    path = f"/v1/wallets/reservations/{reservation}/capture"
    return api.post(path, {"idempotency_key": key} | terms)


def test_the_estimate_is_held_and_the_real_quantity_charged(api: APIClient) -> None:
    """5,000 reserved: 2,000 units and 3,000 x 0.002 = 6.00; 2,500 used: 2,000 units, 1.00."""
    subscribed()
    factories.grant_units("cust_1", "2000")
    factories.top_up("cust_1", "10")

    held = reserve(api, 5_000).json()

    assert (held["held"], held["held_units"], held["amount"]) == ("6", "2000", "6")
    assert held["balance"]["available"] == "4"
    assert UsageEvent.objects.count() == 0
    # What is held cannot be spent otherwise: 2,001 x 0.002 = 4.002.
    assert use(api, 2_001, "u1").status_code == 402
    captured = capture(api, held["id"], quantity=2_500)
    assert captured.status_code == 200, captured.content
    assert captured.json()["amount"] == "1"
    assert captured.json()["balance"] == {
        "available": "9", "held": "0", "by_kind": {"PROMO": "0", "BONUS": "0", "CASH": "9"},
    }  # fmt: skip
    assert UsageEvent.objects.get().quantity == 2_500
    assert proof.verify().ok


def test_what_was_metered_cannot_take_what_is_held(api: APIClient) -> None:
    """Promo and cash of 2.00 each: metered usage of 3.00 gets the cash alone, 1.00 is open."""
    subscribed()
    factories.grant("cust_1", "2")
    factories.top_up("cust_1", "2")
    held = reserve(api, 1_000).json()
    meter(1_500, "m1")

    captured = capture(api, held["id"])

    assert captured.status_code == 200, captured.content
    assert [(a["kind"], a["amount"]) for a in captured.json()["allocations"]] == [
        ("PROMO", "2"),
    ]  # fmt: skip
    refused = use(api, 1, "u1")
    assert (refused.status_code, refused.json()["shortfall"]) == (402, "0.002")
    assert proof.verify().ok


def test_credits_that_metered_usage_gives_back_can_be_held(api: APIClient) -> None:
    """Cash paid 2.00 of metered usage; promo takes that over, so that the cash is held."""
    book = subscribed()
    factories.top_up("cust_1", "2")
    meter(1_000, "m1")
    advance(book, START)
    assert factories.available(book) == 0
    factories.grant("cust_1", "2")

    held = reserve(api, 1_000).json()

    assert [(a["kind"], a["amount"]) for a in held["allocations"]] == [("CASH", "2")]
    assert proof.verify().ok


def test_it_is_captured_or_voided_once(api: APIClient) -> None:
    subscribed()
    factories.top_up("cust_1", "10")
    first, second = reserve(api, 500).json(), reserve(api, 500, "r2").json()
    void = f"/v1/wallets/reservations/{second['id']}/void"

    captured = capture(api, first["id"])
    again = capture(api, first["id"], "c2")
    voided = api.post(void, {"idempotency_key": "v1"})

    assert captured.json()["amount"] == "1"
    assert capture(api, first["id"]).content == captured.content
    assert (again.status_code, again.json()["code"]) == (409, "reservation_closed")
    assert (voided.status_code, voided.json()["released"]) == (200, "1")
    assert api.post(void, {"idempotency_key": "v2"}).json()["code"] == "reservation_closed"
    assert proof.verify().ok


def test_more_than_reserved(api: APIClient) -> None:
    subscribed()
    factories.top_up("cust_1", "2")
    held = reserve(api, 500).json()
    before = factories.everything()

    refused = capture(api, held["id"], quantity=600)
    uncovered = capture(api, held["id"], quantity=2_000, allow_more=True)

    assert refused.json()["code"] == "exceeds_reservation"
    assert uncovered.status_code == 402
    assert factories.everything() == before
    assert capture(api, held["id"], quantity=600, allow_more=True).status_code == 200


def test_it_times_out_at_its_moment(api: APIClient) -> None:
    book = subscribed()
    factories.top_up("cust_1", "10")
    held = reserve(api, 5_000, expires_in=60).json()
    assert held["balance"]["available"] == "0"

    advance(book, START + timedelta(seconds=60))

    late = capture(api, held["id"])
    assert (late.status_code, late.json()["code"]) == (409, "reservation_expired")
    assert api.get("/v1/wallets/cust_1").json()["wallets"][0]["available"] == "10"
    assert proof.verify().ok


def test_a_held_lot_pays_after_its_time(api: APIClient) -> None:
    """Promo that lapses while it is held is honoured; what is not used lapses at once."""
    book = subscribed()
    factories.grant("cust_1", "10", expires_at=START + timedelta(seconds=30))
    held = reserve(api, 5_000, expires_in=600).json()
    advance(book, START + timedelta(seconds=60))

    captured = capture(api, held["id"], quantity=2_000).json()

    assert [(a["kind"], a["amount"]) for a in captured["allocations"]] == [("PROMO", "4")]
    assert captured["balance"]["available"] == "0"
    assert factories.available(book) == 0
    assert proof.verify().ok
