"""Reserved usage held for longer, or more of it, at 0.002 a token; by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from billing.finance import verification
from billing.models import UsageReservation
from tests import factories
from tests.billing.realtime.usage_captures import stop
from tests.billing.realtime.usage_requests import capture, reserve, use
from tests.factories import START, advance, meter, set_clock, subscribed

pytestmark = pytest.mark.django_db


def extend(api: APIClient, reservation: str, key: str = "e1", **terms: Any) -> Any:
    path = f"/v1/wallets/reservations/{reservation}/extend"
    return api.post(path, {"idempotency_key": key} | terms)


def test_more_of_it(api: APIClient) -> None:
    """500 hold 1.00 of 2.00; 500 more hold the rest, one more is refused."""
    book = subscribed("PREPAID", money="2")
    held = reserve(api, 500).json()["id"]

    more = extend(api, held, quantity=500)

    names = ("id", "quantity", "amount", "held", "captured", "status")
    assert [more.json()[name] for name in names] == [held, "1000", "2", "2", "0", "HELD"]
    before = factories.everything()
    refused = extend(api, held, "e2", quantity=1, expires_in=3_000)
    assert (refused.status_code, refused.json()["shortfall"]) == (402, "0.002")
    assert factories.everything() == before
    assert extend(api, held, quantity=500).content == more.content
    assert capture(api, held).json()["amount"] == "2"
    assert factories.available(book) == 0
    assert verification.verify().ok


def test_units_first_then_money(api: APIClient) -> None:
    """1,000 of 2,000 units are held; 4,000 more are 1,000 units and 6.00, 2,500 more of nothing."""
    subscribed("PREPAID", money="6")
    factories.grant_units("cust_1", "2000")
    held = reserve(api, 1_000).json()
    assert (held["held"], held["held_units"]) == ("0", "1000")

    more = extend(api, held["id"], quantity=4_000).json()

    assert (more["held"], more["held_units"], more["quantity"]) == ("6", "2000", "5000")
    captured = capture(api, held["id"], quantity=2_500).json()
    assert (captured["amount"], captured["held"], captured["held_units"]) == ("1", "0", "0")
    assert verification.verify().ok


def test_after_a_part_was_captured(api: APIClient) -> None:
    """1,000 hold 2.00, 400 take 0.80; 100 more hold 0.20 beside the 1.20."""
    subscribed("PREPAID", money="10")
    held = reserve(api, 1_000).json()["id"]
    capture(api, held, quantity=400, final=False)

    more = extend(api, held, quantity=100).json()

    assert (more["held"], more["quantity"], more["captured"]) == ("1.4", "1100", "400")
    assert capture(api, held, "c2").json()["amount"] == "1.4"
    assert verification.verify().ok


def test_what_it_promises_counts_against_the_overage_limit(api: APIClient) -> None:
    """Of 1.00, 0.80 is promised: 110 more would make it 1.02, 100 more make it 1.00."""
    book = subscribed("HYBRID", overage_limit=1)
    held = reserve(api, 400).json()
    assert held["overage_expected"] == "0.8"
    before = factories.everything()

    refused = extend(api, held["id"], quantity=110)

    assert (refused.status_code, refused.json()["code"]) == (402, "overage_limit")
    assert factories.everything() == before
    assert extend(api, held["id"], quantity=100).json()["overage_expected"] == "1"
    assert use(api, 10, "u1").json()["code"] == "overage_limit"
    assert capture(api, held["id"]).json()["overage"] == "1"
    assert book.customer.subscriptions.get().status == "ACTIVE"


def test_what_was_metered_cannot_take_what_is_held(api: APIClient) -> None:
    """2.00 of 5.00 held; metered 1.00; 500 more hold 1.00 of the 2.00 that are left."""
    book = subscribed("PREPAID", money="5")
    held = reserve(api, 1_000).json()["id"]
    meter(500, START, "m1")

    assert extend(api, held, quantity=500).json()["held"] == "3"

    assert factories.available(book) == 1
    assert capture(api, held).json()["amount"] == "3"
    assert verification.verify().ok


def test_in_time_it_is_the_same_object_under_both_addresses(api: APIClient) -> None:
    book = subscribed("PREPAID", money="5")
    held = reserve(api, 1_000, expires_in=60).json()["id"]

    first = extend(api, held, expires_in=600).json()
    path = f"/v1/usage/reservations/{held}/extend"
    second = api.post(path, {"idempotency_key": "e2", "expires_in": 900}).json()

    assert (first["held"], second["held"]) == ("2", "2")
    assert second["expires_at"] == "2026-01-01T00:15:00Z"
    (row,) = api.get("/v1/usage/reservations", {"idempotency_key": "r1"}).json()["data"]
    assert (row["id"], row["expires_at"]) == (held, second["expires_at"])
    assert UsageReservation.objects.get().quantity == 1_000
    wrong = extend(api, held, "e3", amount="1")
    assert [e["pointer"] for e in wrong.json()["errors"]] == ["/amount"]
    advance(book, START.replace(minute=15))
    assert extend(api, held, "e4", expires_in=5).json()["code"] == "reservation_expired"


def test_captures_of_usage_and_of_credits_in_one_batch(api: APIClient) -> None:
    book = subscribed("PREPAID", money="10")
    usage = [reserve(api, 500, f"r{n}").json()["id"] for n in range(2)]
    body = {"customer_id": "cust_1", "amount": "3", "idempotency_key": "w"}
    of_credits = api.post("/v1/wallets/reservations", body).json()["id"]
    captures = [
        {"reservation": usage[0], "quantity": 400, "idempotency_key": "c0"},
        {"reservation": of_credits, "amount": "2.5", "idempotency_key": "c1"},
        {"reservation": usage[1], "amount": "1", "idempotency_key": "c2"},
        {"reservation": usage[1], "idempotency_key": "c3"},
    ]

    results = api.post("/v1/wallets/captures/batch", {"captures": captures}).json()["results"]

    assert [each["status"] for each in results] == [200, 200, 422, 200]
    assert [results[n]["amount"] for n in (0, 1, 3)] == ["0.8", "2.5", "1"]
    assert factories.available(book) == Decimal("5.7")
    assert verification.verify().ok


def test_a_late_capture_within_its_grace_is_a_debit(api: APIClient) -> None:
    """5.00; 500 hold 1.00 until 00:01, with 10 minutes of grace; 1.00 goes at 00:05."""
    book = subscribed("PREPAID", money="5")
    held, other = (
        reserve(api, 500, key, expires_in=60, grace_seconds=600).json() for key in ("r1", "r2")
    )
    assert held["grace_seconds"] == 600
    advance(book, START.replace(minute=5))
    assert factories.available(book) == 5

    part = capture(api, held["id"], "c1", quantity=400, final=False).json()
    late = capture(api, held["id"], "c2", quantity=100)

    assert (part["amount"], part["status"]) == ("0.8", "EXPIRED")
    assert (late.json()["amount"], late.json()["status"]) == ("0.2", "CAPTURED")
    before = factories.everything()
    assert capture(api, held["id"], "c3", quantity=1).json()["code"] == "reservation_closed"
    assert capture(api, other["id"], "c4", quantity=2_001).json()["shortfall"] == "0.002"
    assert factories.everything() == before
    set_clock(book, START.replace(minute=11))
    before = factories.everything()
    assert capture(api, other["id"], "c5").json()["code"] == "reservation_expired"
    assert factories.everything() == before
    assert factories.available(book) == 4
    assert verification.verify().ok


@pytest.mark.parametrize(("how", "code"), [("pause", "paused"), ("cancel", "no_subscription")])
def test_in_its_grace_nothing_is_sold_to_a_stopped_customer(
    api: APIClient, how: str, code: str
) -> None:
    book = subscribed("PREPAID", money="5")
    held = reserve(api, 500, expires_in=60, grace_seconds=600).json()["id"]
    advance(book, START.replace(minute=5))
    stop(how)
    before = factories.everything()

    assert capture(api, held).json()["code"] == code
    assert factories.everything() == before
