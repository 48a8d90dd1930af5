"""Usage reserved before it is served: held at the marginal price, charged as it came."""

from __future__ import annotations

from datetime import timedelta

import pytest
from rest_framework.test import APIClient

from billing.finance import verification
from billing.models import UsageEvent
from tests import factories
from tests.billing.realtime.usage_requests import capture, reserve, use
from tests.factories import START, advance, meter, subscribed

pytestmark = pytest.mark.django_db


def test_the_estimate_is_held_and_the_real_quantity_charged(api: APIClient) -> None:
    """5,000 reserved: 2,000 units and 3,000 x 0.002 = 6.00; 2,500 used: 2,000 units, 1.00."""
    subscribed("PREPAID")
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
    assert verification.verify().ok


def test_what_was_metered_cannot_take_what_is_held(api: APIClient) -> None:
    """Promo and cash of 2.00 each: metered usage of 3.00 gets the cash alone, 1.00 is open."""
    subscribed("PREPAID")
    factories.grant("cust_1", "2")
    factories.top_up("cust_1", "2")
    held = reserve(api, 1_000).json()
    meter(1_500, START, "m1")

    captured = capture(api, held["id"])

    assert captured.status_code == 200, captured.content
    assert [(a["kind"], a["amount"]) for a in captured.json()["allocations"]] == [
        ("PROMO", "2"),
    ]  # fmt: skip
    refused = use(api, 1, "u1")
    assert (refused.status_code, refused.json()["shortfall"]) == (402, "0.002")
    assert verification.verify().ok


def test_credits_that_metered_usage_gives_back_can_be_held(api: APIClient) -> None:
    """Cash paid 2.00 of metered usage; promo takes that over, so that the cash is held."""
    book = subscribed("PREPAID")
    factories.top_up("cust_1", "2")
    meter(1_000, START, "m1")
    advance(book, START)
    assert factories.available(book) == 0
    factories.grant("cust_1", "2")

    held = reserve(api, 1_000).json()

    assert [(a["kind"], a["amount"]) for a in held["allocations"]] == [("CASH", "2")]
    assert verification.verify().ok


def test_it_is_captured_or_voided_once(api: APIClient) -> None:
    subscribed("PREPAID")
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
    assert verification.verify().ok


def test_more_than_reserved(api: APIClient) -> None:
    subscribed("PREPAID")
    factories.top_up("cust_1", "2")
    held = reserve(api, 500).json()
    before = factories.everything()

    uncovered = capture(api, held["id"], quantity=2_000)

    assert uncovered.status_code == 402
    assert factories.everything() == before
    assert capture(api, held["id"], quantity=600).status_code == 200


def test_it_is_captured_in_parts(api: APIClient) -> None:
    """5,000: 2,000 units and 6.00. Parts of 1,500, 1,500 (500 units, 2.00) and 1,000 (2.00)."""
    book = subscribed("PREPAID")
    factories.grant_units("cust_1", "2000")
    factories.top_up("cust_1", "6")
    held = reserve(api, 5_000).json()["id"]

    parts = [
        capture(api, held, f"c{n}", quantity=quantity, final=final).json()
        for n, (quantity, final) in enumerate([(1_500, False), (1_500, False), (1_000, True)])
    ]

    names = ("amount", "captured", "status", "held", "held_units")
    assert [[part[name] for name in names] for part in parts] == [
        ["0", "1500", "HELD", "6", "500"],
        ["2", "3000", "HELD", "4", "0"],
        ["2", "4000", "CAPTURED", "0", "0"],
    ]
    assert factories.available(book) == 2
    assert [event.quantity for event in UsageEvent.objects.order_by("pk")] == [1500, 1500, 1000]
    assert capture(api, held, "c9").json()["code"] == "reservation_closed"
    assert verification.verify().ok


def test_between_parts_the_rest_stays_held_and_no_more_can_be_captured(api: APIClient) -> None:
    """6.00 for 3,000; 2.00 captured: neither a debit nor metered usage gets the 4.00 still held."""
    book = subscribed("PREPAID")
    factories.top_up("cust_1", "6")
    held = reserve(api, 3_000).json()["id"]
    first = capture(api, held, "c1", quantity=1_000, final=False)
    meter(1_000, START, "m1")
    before = factories.everything()

    refused = capture(api, held, "c2", quantity=2_001)
    debit = use(api, 1, "u1")

    assert (refused.json()["code"], debit.status_code) == ("insufficient_funds", 402)
    assert factories.everything() == before
    assert capture(api, held, "c1", quantity=1_000, final=False).content == first.content
    assert capture(api, held, "c3", final=False).json()["amount"] == "4"
    assert capture(api, held, "c4").json()["errors"][0]["code"] == "nothing_left"
    assert factories.available(book) == 0
    assert verification.verify().ok


@pytest.mark.parametrize("how", ["void", "time"])
def test_the_rest_of_it_is_released(api: APIClient, how: str) -> None:
    book = subscribed("PREPAID")
    factories.top_up("cust_1", "6")
    held = reserve(api, 3_000, expires_in=60).json()["id"]
    capture(api, held, quantity=1_000, final=False)
    assert factories.available(book) == 0

    if how == "void":
        void = f"/v1/wallets/reservations/{held}/void"
        assert api.post(void, {"idempotency_key": "v"}).json()["released"] == "4"
    else:
        advance(book, START + timedelta(seconds=60))
        assert capture(api, held, "c2").json()["code"] == "reservation_expired"

    assert factories.available(book) == 4
    assert verification.verify().ok


def test_a_part_that_newer_credits_pay_leaves_no_more_held_than_the_rest_costs(
    api: APIClient,
) -> None:
    """Promo of 2.00 pays the first 1,000; of the 6.00 of cash that were held, 4.00 still are."""
    book = subscribed("PREPAID")
    factories.top_up("cust_1", "6")
    held = reserve(api, 3_000).json()["id"]
    factories.grant("cust_1", "2")

    part = capture(api, held, quantity=1_000, final=False).json()

    assert [(a["kind"], a["amount"]) for a in part["allocations"]] == [("PROMO", "2")]
    assert (part["held"], factories.available(book)) == ("4", 2)


def test_a_lapsed_lot_is_held_on_between_parts(api: APIClient) -> None:
    """Promo of 10.00 lapses while 5,000 are reserved; it pays for both parts, the rest lapses."""
    book = subscribed("PREPAID")
    factories.grant("cust_1", "10", expires_at=START + timedelta(seconds=30))
    held = reserve(api, 5_000, expires_in=600).json()["id"]
    advance(book, START + timedelta(seconds=60))

    parts = [
        capture(api, held, f"c{n}", quantity=2_000, final=final).json()
        for n, final in enumerate([False, True])
    ]

    assert [part["held"] for part in parts] == ["6", "0"]
    assert [part["allocations"][0]["kind"] for part in parts] == ["PROMO", "PROMO"]
    assert factories.available(book) == 0
    assert verification.verify().ok


def test_it_times_out_at_its_moment(api: APIClient) -> None:
    book = subscribed("PREPAID")
    factories.top_up("cust_1", "10")
    held = reserve(api, 5_000, expires_in=60).json()
    assert held["balance"]["available"] == "0"

    advance(book, START + timedelta(seconds=60))

    late = capture(api, held["id"])
    assert (late.status_code, late.json()["code"]) == (409, "reservation_expired")
    assert api.get("/v1/wallets/cust_1").json()["wallets"][0]["available"] == "10"
    assert verification.verify().ok


def test_a_held_lot_pays_after_its_time(api: APIClient) -> None:
    """Promo that lapses while it is held is honoured; what is not used lapses at once."""
    book = subscribed("PREPAID")
    factories.grant("cust_1", "10", expires_at=START + timedelta(seconds=30))
    held = reserve(api, 5_000, expires_in=600).json()
    advance(book, START + timedelta(seconds=60))

    captured = capture(api, held["id"], quantity=2_000).json()

    assert [(a["kind"], a["amount"]) for a in captured["allocations"]] == [("PROMO", "4")]
    assert captured["balance"]["available"] == "0"
    assert factories.available(book) == 0
    assert verification.verify().ok
