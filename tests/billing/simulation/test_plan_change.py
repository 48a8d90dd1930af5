"""What a move would do: both sides by hand, credits carried and added, and nothing is written."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from rest_framework.test import APIClient

from billing.jobs import test_clocks
from billing.lifecycle import subscribing
from billing.models import Settlement, Subscription
from billing.settlement.usage_burn import burn_through
from ledger.entries.books import lock_book
from pricing.models import Offering
from pricing.offerings import offerings
from pricing.plans import plans
from pricing.plans.version_spec import VersionSpec
from tests import factories

pytestmark = pytest.mark.django_db

# April has thirty days, of which twenty are two thirds.
APRIL = datetime(2026, 4, 1, tzinfo=UTC)
TWO_THIRDS = datetime(2026, 4, 21, tzinfo=UTC)

BASIC: dict[str, Any] = {
    "charges": [
        {"code": "fee", "model": "FLAT_RATE", "terms": {"flat_fee": "30"}},
        {
            "code": "tokens",
            "model": "PER_UNIT",
            "metric": "tokens",
            "terms": {"unit_price": "0.002", "included_quantity": "3000"},
        },
    ],
    "grants": [
        {
            "code": "units",
            "kind": "PROMO",
            "metric": "tokens",
            "quantity": "10000",
            "recurrence": "EVERY_CYCLE",
            "expires_at_cycle_end": True,
        }
    ],
}
PRO: dict[str, Any] = {
    "charges": [
        {"code": "fee", "model": "FLAT_RATE", "terms": {"flat_fee": "90"}},
        {
            "code": "tokens",
            "model": "GRADUATED",
            "metric": "tokens",
            "terms": {
                "tiers": [
                    {"up_to": "6000", "unit_price": "0.003", "flat_fee": "9"},
                    {"up_to": None, "unit_price": "0.001"},
                ],
                "included_quantity": "1500",
            },
        },
    ],
    "grants": [
        {**BASIC["grants"][0], "quantity": "20000"},
        {"code": "money", "kind": "PROMO", "amount": "30", "recurrence": "EVERY_CYCLE"},
        {"code": "hello", "kind": "PROMO", "amount": "500", "recurrence": "ONCE"},
    ],
    "spec": {"minimum_spend": Decimal(120), "maximum_spend": Decimal(3000)},
}


@pytest.fixture
def basic() -> Offering:
    factories.offering("pro", **PRO)
    return factories.offering("basic", **BASIC)


def subscriber(key: str = "cust_1", *, tokens: int = 15_000) -> Subscription:
    """Subscribe on 1 April, use tokens on the 11th, and wait until the 21st."""
    book = factories.clocked_customer(key, APRIL)
    made = factories.subscription(key, "basic")
    assert book.test_clock_id is not None
    test_clocks.advance(clock_id=book.test_clock_id, livemode=False, to=TWO_THIRDS)
    if tokens:
        factories.meter(tokens, APRIL + timedelta(days=10), f"{key}-e", key=key)
    return made


def ask(api: APIClient, subscription: Subscription, **body: Any) -> dict[str, Any]:
    asked = {"offering": "pro", "preview": True} | body
    response = api.post(f"/v1/subscriptions/{subscription.pk}/migrate", asked)
    assert response.status_code == 200, response.content
    answer: dict[str, Any] = response.json()
    return answer


def state() -> tuple[Any, ...]:
    return (
        factories.everything(),
        list(Subscription.objects.order_by("pk").values()),
        Settlement.objects.count(),
    )


@pytest.mark.parametrize("burned_before", [False, True])
def test_both_sides_are_prorated_by_time(
    api: APIClient, basic: Offering, *, burned_before: bool
) -> None:
    moving = subscriber()
    factories.top_up("cust_1", "10")
    if burned_before:
        with transaction.atomic():
            burn_through(book=lock_book(book_id=moving.customer_id), until=TWO_THIRDS)
    before = state()

    said = ask(api, moving)

    # Two thirds of 3,000 tokens are included, the units pay 10,000: 3,000 x .002 + 20 of 30.
    closing = said["closing"]
    assert closing["period"] == {"starts_at": "2026-04-01T00:00:00Z",
                                 "ends_at": "2026-04-21T00:00:00Z"}  # fmt: skip
    # Units that were burned before are not listed: nothing is left of them to carry.
    assert {c["after_closing"] for c in said["credits"]["carried"]} == {"0"}
    assert closing["share"] == "0.666666666667"
    assert closing["totals"]["subtotal"] == "26"
    assert closing["totals"]["from_units"] == [
        {"metric": "tokens", "kind": "PROMO", "quantity": "10000"}
    ]
    assert (closing["totals"]["from_wallet"]["CASH"], closing["totals"]["to_invoice"]) == (
        "10",
        "16",
    )
    assert [stage["title"] for stage in closing["stages"]][-1] == "Route"
    # A third of the fee of 90 and of the minimum of 120; the 10 of new promo pay, no cash is left.
    opening = said["opening"]
    assert opening["period"] == {"starts_at": "2026-04-21T00:00:00Z",
                                 "ends_at": "2026-05-01T00:00:00Z"}  # fmt: skip
    assert opening["totals"]["subtotal"] == "40"
    assert opening["totals"]["from_wallet"] == {"PROMO": "10", "BONUS": "0", "CASH": "0"}
    assert opening["totals"]["to_invoice"] == "30"
    assert (opening["minimum_spend"], opening["maximum_spend"]) == ("40", "1000")
    assert [charge["terms"] for charge in opening["charges"]] == [
        {"flat_fee": "30"},
        {
            "tiers": [
                {"up_to": "2000", "unit_price": "0.003", "flat_fee": "3"},
                {"up_to": None, "unit_price": "0.001"},
            ],
            "included_quantity": "500",
        },
    ]
    assert state() == before


def test_credits_keep_their_terms_and_the_new_plan_adds_the_difference(
    api: APIClient, basic: Offering
) -> None:
    moving = subscriber(tokens=4_000)
    factories.top_up("cust_1", "25")

    found = ask(api, moving)["credits"]

    # 4,000 less 2,000 included leave 8,000 units; 20 of fee leave 5 of cash.
    assert [(c["kind"], c["remaining"], c["after_closing"]) for c in found["carried"]] == [
        ("PROMO", "10000", "8000"),
        ("CASH", "25", "5"),
    ]
    assert found["carried"][0]["expires_at"] == "2026-05-01T00:00:00Z"
    # 20,000 against 10,000 at a third left, and a third of 30; the once-only 500 are for new ones.
    assert found["added"] == [
        {"code": "units", "kind": "PROMO", "metric": "tokens", "quantity": "3333",
         "expires_at": "2026-05-01T00:00:00Z"},
        {"code": "money", "kind": "PROMO", "currency": "USD", "quantity": "10",
         "expires_at": None},
    ]  # fmt: skip


def test_what_changes_is_named(api: APIClient, basic: Offering) -> None:
    said = ask(api, subscriber())

    assert said["from"] == {"offering": "basic", "rate_plan": {"code": "plan_basic", "version": 1},
                            "billing_mode": "HYBRID", "interval": "MONTH",
                            "interval_count": 1}  # fmt: skip
    assert said["to"]["rate_plan"] == {"code": "plan_pro", "version": 1}
    changes = {c["field"]: (c["before"], c["after"]) for c in said["changes"]}
    assert changes["/charges/fee/terms/flat_fee"] == ("30", "90")
    assert changes["/grants/units/quantity"] == ("10000", "20000")
    assert changes["/minimum_spend"] == (None, "120")


def test_a_move_to_a_smaller_grant_adds_nothing(api: APIClient, basic: Offering) -> None:
    factories.offering("small", charges=BASIC["charges"],
                       grants=[{**BASIC["grants"][0], "quantity": "5000"}])  # fmt: skip

    assert ask(api, subscriber(), offering="small")["credits"]["added"] == []


def test_the_anchor_is_kept_by_another_interval(api: APIClient, basic: Offering) -> None:
    factories.offering("yearly", charges=BASIC["charges"], interval="YEAR")

    said = ask(api, subscriber(), offering="yearly")

    # 20 days of 365 are over: 30 x 345 / 365.
    assert said["opening"]["period"]["ends_at"] == "2027-04-01T00:00:00Z"
    assert said["opening"]["charges"][0]["terms"] == {"flat_fee": "28.356164383562"}


def test_a_trial_goes_on_to_its_end(api: APIClient) -> None:
    factories.offering("pro", **PRO)
    factories.offering("basic", trial_days=30, **BASIC)

    said = ask(api, subscriber())

    assert (said["closing"]["totals"]["total"], said["opening"]["totals"]["total"]) == ("0", "0")
    assert said["opening"]["period"]["ends_at"] == "2026-05-01T00:00:00Z"


def test_a_draft_version_can_be_asked_for(api: APIClient, basic: Offering) -> None:
    moving = subscriber()
    fee = [{**BASIC["charges"][0], "terms": {"flat_fee": "60"}}]
    plans.create_version(livemode=False, code="plan_basic", spec=VersionSpec(charges=fee))

    said = ask(api, moving, offering="basic", version=2)

    assert said["opening"]["totals"]["total"] == "20"
    assert said["credits"]["added"] == []


@pytest.mark.parametrize(
    ("body", "status", "code", "pointer"),
    [
        ({"offering": "nothing"}, 422, "unknown_offering", "/offering"),
        ({"offering": "gone"}, 422, "offering_not_active", "/offering"),
        ({"offering": "euros"}, 422, "currency_differs", "/offering"),
        ({"offering": "basic"}, 409, "already_there", None),
        ({"offering": "both"}, 409, "metric_already_subscribed", None),
        ({"version": 7}, 404, "unknown_rate_plan", None),
        ({"offering": None}, 422, "null", "/offering"),
        ({"surprise": 1}, 422, "unknown_field", "/surprise"),
    ],
)
def test_a_move_that_cannot_be(
    api: APIClient, basic: Offering, body: dict[str, Any], status: int, code: str,
    pointer: str | None,
) -> None:  # fmt: skip
    calls = {"code": "calls", "model": "PER_UNIT", "metric": "calls", "terms": {"unit_price": "1"}}
    factories.metric("calls")
    factories.offering("gone")
    offerings.update_offering(livemode=False, code="gone", changes={"status": "ARCHIVED"})
    factories.offering("calls", charges=[calls])
    factories.offering("both", charges=[*BASIC["charges"], calls])
    plans.create_rate_plan(livemode=False, code="eur", name="eur", currency="EUR",
                             spec=VersionSpec(charges=BASIC["charges"]))  # fmt: skip
    plans.publish(livemode=False, code="eur", now=APRIL)
    offerings.create_offering(livemode=False, code="euros", name="euros", rate_plan="eur",
                            billing_mode="HYBRID", interval="MONTH")  # fmt: skip
    moving = subscriber()
    factories.subscription("cust_1", "calls")
    before = state()

    asked = {"offering": "pro", "preview": True} | body
    response = api.post(f"/v1/subscriptions/{moving.pk}/migrate", asked)

    assert (response.status_code, response.json()["code"]) == (status, code), response.content
    assert [e["pointer"] for e in response.json().get("errors", [])] == (
        [pointer] if pointer else []
    )
    assert state() == before


def test_only_what_is_open_can_move(api: APIClient, live_api: APIClient, basic: Offering) -> None:
    moving = subscriber()
    url = f"/v1/subscriptions/{moving.pk}/migrate"
    asked = {"offering": "pro", "preview": True}
    factories.customer("late")
    late = subscribing.subscribe(livemode=False, customer_id="late", offering="basic",
                                   starts_at=APRIL)  # fmt: skip

    assert live_api.post(url, asked).status_code == 404
    assert api.post(f"/v1/subscriptions/{uuid4()}/migrate", asked).status_code == 404
    over = api.post(f"/v1/subscriptions/{late.pk}/migrate", asked)
    assert (over.status_code, over.json()["code"]) == (409, "cycle_not_settled")
    Subscription.objects.filter(pk=moving.pk).update(status="CANCELLED")
    assert api.post(url, asked).json()["code"] == "subscription_cancelled"


def test_all_of_an_offering_page_by_page(api: APIClient, basic: Offering) -> None:
    for number in range(3):
        subscriber(f"cust_{number}", tokens=5_000 * number)
    before = state()
    url = "/v1/offerings/basic/migration-preview?page_size=2"

    first = api.post(url, {"to_offering": "pro"}).json()
    second = api.post(first["next"], {"to_offering": "pro"}).json()

    rows = first["data"] + second["data"]
    assert [r["customer_id"] for r in rows] == ["cust_0", "cust_1", "cust_2"]
    # 5,000 and 10,000 less 2,000 included are paid by units; only two thirds of the fee are left.
    assert [r["closing"]["total"] for r in rows] == ["20", "20", "20"]
    assert [a["quantity"] for a in rows[0]["added"]] == ["3333", "10"]
    assert first["changes"][0]["from"] == {"code": "plan_basic", "version": 1}
    assert {"field": "/charges/fee/terms/flat_fee", "before": "30", "after": "90"} in (
        first["changes"][0]["changes"]
    )
    assert second["next"] is None
    assert state() == before


def test_one_that_cannot_move_does_not_stop_the_others(
    api: APIClient, basic: Offering, tmp_path: Path
) -> None:
    for key in ("cust_1", "cust_2"):
        subscriber(key)
    factories.customer("late")
    subscribing.subscribe(livemode=False, customer_id="late", offering="basic", starts_at=APRIL)
    errors, file = io.StringIO(), tmp_path / "moves.csv"

    answer = api.post("/v1/offerings/basic/migration-preview", {"to_offering": "pro"}).json()
    call_command("preview_migration", "basic", to_offering="pro", mode="sandbox", out=file,
                 stderr=errors)  # fmt: skip

    assert [(r["refused"] or {}).get("code") for r in answer["data"]] == [
        None,
        None,
        "cycle_not_settled",
    ]
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert [(r["customer_id"], r["closing_total"], r["opening_total"], r["added"], r["refused"])
            for r in rows] == [
        ("cust_1", "26", "40", "3333 tokens; 10 USD", ""),
        ("cust_2", "26", "40", "3333 tokens; 10 USD", ""),
        ("late", "", "", "", "cycle_not_settled"),
    ]  # fmt: skip
    assert errors.getvalue().splitlines() == ["2 would move, 1 would not.",
                                              "  cycle_not_settled: 1"]  # fmt: skip


def test_the_preview_of_an_offering_needs_to_know_where(api: APIClient, basic: Offering) -> None:
    url = "/v1/offerings/basic/migration-preview"

    assert api.post(url, {}).json()["errors"][0]["pointer"] == "/to_offering"
    assert api.post(url, {"to_offering": "no"}).json()["errors"][0]["pointer"] == "/to_offering"
    assert api.post(url, {"to_version": 9}).status_code == 404
    assert api.post("/v1/offerings/no/migration-preview", {"to_version": 1}).status_code == 404
    with pytest.raises(CommandError, match="There is no offering no"):
        call_command("preview_migration", "no", to_version=1, mode="sandbox")
