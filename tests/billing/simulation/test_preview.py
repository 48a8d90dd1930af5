"""A preview and the settlement of the same usage give the same figures."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from billing.invoicing.tax_rates import create_tax_rate
from billing.jobs import test_clocks
from billing.lifecycle.subscribing import subscribe
from billing.models import Settlement
from pricing.offerings import coupons
from pricing.plans import plans, version_spec
from tests import factories
from tests.factories import FEBRUARY, START

pytestmark = pytest.mark.django_db

TIERS = [
    {"up_to": "1000", "unit_price": "0.010"},
    {"up_to": "10000", "unit_price": "0.008"},
    {"up_to": None, "unit_price": "0.005"},
]
CHARGES: list[dict[str, Any]] = [
    {"model": "PER_UNIT", "terms": {"unit_price": "0.002", "included_quantity": "500"}},
    {"model": "FLAT_RATE", "terms": {"flat_fee": "49"}},
    {"model": "VOLUME", "terms": {"tiers": TIERS}},
    {"model": "GRADUATED", "terms": {"tiers": TIERS}},
    {"model": "INCLUDED_QUOTA",
     "terms": {"included_quantity": "1000", "block_size": "100", "block_price": "3"}},
    {"model": "PERCENTAGE", "terms": {"percent": "2.5", "minimum_fee": "10"}},
]  # fmt: skip


def preview(api: APIClient, **body: Any) -> dict[str, Any]:
    response = api.post("/v1/rate-plans/plan_tokens_monthly/preview", body)
    assert response.status_code == 200, response.content
    answer: dict[str, Any] = response.json()
    return answer


@pytest.mark.parametrize("mode", ["PREPAID", "HYBRID", "POSTPAID"])
@pytest.mark.parametrize("is_inclusive", [False, True], ids=["on top", "inside"])
@pytest.mark.parametrize("charge", CHARGES, ids=lambda charge: str(charge["model"]))
def test_it_says_what_settlement_does(
    api: APIClient,
    charge: dict[str, Any],
    is_inclusive: bool,
    mode: str,
) -> None:
    create_tax_rate(livemode=False, name="VAT", country="ES", percent=Decimal(21), now=START)
    factories.offering(
        billing_mode=mode,
        charges=[{"code": "c", "metric": "tokens", **charge}],
        spec={"tax_inclusive": is_inclusive},
    )
    book = factories.clocked_customer()
    book.customer.country = "ES"
    book.customer.save(update_fields=["country"])
    factories.subscription("cust_1")
    factories.grant_units("cust_1", "200")
    factories.grant("cust_1", "3", "PROMO")
    factories.top_up("cust_1", "20")

    said = preview(api, usage={"tokens": 15_000}, customer_id="cust_1", billing_mode=mode)

    factories.meter(15_000, START, "e")
    assert book.test_clock_id is not None
    test_clocks.advance(clock_id=book.test_clock_id, livemode=False, to=FEBRUARY)
    done = Settlement.objects.get()
    assert said["totals"] == done.totals
    assert said["stages"] == done.stages[:9]


def test_a_refusing_cap_is_previewed_as_it_settles(api: APIClient) -> None:
    """Of 15,000 tokens at 0.002 only the first 10,000 are billed: 20.00."""
    cap = {"tokens": {"quantity": "10000", "beyond": "REFUSED"}}
    factories.offering(spec={"caps": cap})
    book = factories.clocked_customer()
    factories.subscription("cust_1")

    said = preview(api, usage={"tokens": 15_000}, customer_id="cust_1")

    factories.meter(15_000, START, "e")
    assert book.test_clock_id is not None
    test_clocks.advance(clock_id=book.test_clock_id, livemode=False, to=FEBRUARY)
    done = Settlement.objects.get()
    assert said["totals"] == done.totals
    assert done.totals["subtotal"] == "20"
    assert done.stages[0]["notes"] == ["tokens: 5000 beyond the cap of 10000, refused: not billed."]


@pytest.mark.parametrize("mode", ["PREPAID", "HYBRID", "POSTPAID"])
@pytest.mark.parametrize(
    ("coupon", "bounds"),
    [
        ({"type": "PERCENT", "value": Decimal(10)}, {"minimum_spend": Decimal(150)}),
        ({"type": "PERCENT", "value": Decimal("2.5")}, {"maximum_spend": Decimal(20)}),
        ({"type": "FIXED", "value": Decimal("7.5"), "currency": "USD"}, {}),
    ],
    ids=["minimum", "maximum", "fixed"],
)
def test_coupon_minimum_and_maximum_are_what_settlement_takes(
    api: APIClient, coupon: dict[str, Any], bounds: dict[str, Decimal], mode: str
) -> None:
    """All six models on one plan, with unit lots, and money lots of every kind."""
    create_tax_rate(livemode=False, name="VAT", country="ES", percent=Decimal(21), now=START)
    coupons.create_coupon(livemode=False, code="OFF", duration="FOREVER", **coupon)
    charges = [{"code": f"c{n}", "metric": "tokens", **c} for n, c in enumerate(CHARGES)]
    factories.offering(billing_mode=mode, charges=charges, spec=bounds)
    book = factories.clocked_customer()
    book.customer.country = "ES"
    book.customer.save(update_fields=["country"])
    subscribe(livemode=False, customer_id="cust_1", offering="tokens_monthly", coupon="OFF")
    factories.grant_units("cust_1", "200")
    factories.grant_units("cust_1", "50", "BONUS")
    factories.grant("cust_1", "3.005", "PROMO")
    factories.grant("cust_1", "4", "BONUS")
    factories.top_up("cust_1", "20")

    said = preview(api, usage={"tokens": 1_777}, customer_id="cust_1", billing_mode=mode,
                   coupon="OFF")  # fmt: skip

    assert book.test_clock_id is not None
    test_clocks.advance(
        clock_id=book.test_clock_id, livemode=False, to=FEBRUARY - timedelta(days=1)
    )
    factories.meter(1_777, START, "e")
    test_clocks.advance(clock_id=book.test_clock_id, livemode=False, to=FEBRUARY)
    done = Settlement.objects.get()
    assert said["totals"] == done.totals
    assert said["stages"] == done.stages[:9]
    assert Decimal(said["totals"]["discount"]) > 0


def test_a_draft_can_be_previewed_and_nothing_is_written(api: APIClient) -> None:
    factories.offering()
    plans.create_version(
        livemode=False,
        code="plan_tokens_monthly",
        spec=version_spec.VersionSpec(
            charges=[{**factories.TOKENS_AT_2_MILLS[0], "terms": {"unit_price": "0.003"}}]
        ),
    )
    before = factories.everything()

    draft = preview(api, usage={"tokens": "1000"})
    published = preview(api, usage={"tokens": "1000"}, version=1)

    assert (draft["totals"]["total"], published["totals"]["total"]) == ("3", "2")
    assert (draft["rate_plan"]["version"], draft["waterfall"]) == (2, [])
    assert factories.everything() == before


def test_the_waterfall_names_the_lots(api: APIClient) -> None:
    factories.offering()
    factories.customer()
    factories.grant_units("cust_1", "400")
    factories.top_up("cust_1", "1")

    said = preview(api, usage={"tokens": "1000"}, customer_id="cust_1")

    assert [(w["kind"], w.get("quantity") or w["amount"]) for w in said["waterfall"]] == [
        ("PROMO", "400"),
        ("CASH", "1"),
    ]
    assert said["totals"]["to_invoice"] == "0.2"


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({"usage": {"nothing": 1}}, 422, "/usage/nothing"),
        ({"usage": {"tokens": -1}}, 422, "/usage/tokens"),
        ({"usage": {}, "version": 9}, 404, None),
        ({"usage": {}, "customer_id": "nobody"}, 404, None),
        ({}, 422, "/usage"),
        ({"usage": {}, "coupon": "NONE"}, 422, "/coupon"),
    ],
)
def test_a_preview_that_cannot_be(
    api: APIClient, body: dict[str, Any], status: int, pointer: str | None
) -> None:
    factories.offering()

    response = api.post("/v1/rate-plans/plan_tokens_monthly/preview", body)

    assert response.status_code == status
    assert [e["pointer"] for e in response.json().get("errors", [])] == (
        [pointer] if pointer else []
    )


@pytest.mark.parametrize(
    ("duration", "cycles", "totals"),
    [("ONCE", None, ["18", "20", "20"]), ("REPEATING", 2, ["18", "18", "20"]),
     ("FOREVER", None, ["18", "18", "18"])],
)  # fmt: skip
def test_a_coupon_counts_for_its_cycles(
    api: APIClient, duration: str, cycles: int | None, totals: list[str]
) -> None:
    coupons.create_coupon(
        livemode=False, code="TEN", type="PERCENT", value=Decimal(10), duration=duration,
        cycles=cycles,
    )  # fmt: skip
    factories.offering(charges=[{"code": "fee", "model": "FLAT_RATE", "terms": {"flat_fee": "20"}}])
    book = factories.clocked_customer()

    made = api.post(
        "/v1/subscriptions",
        {"customer_id": "cust_1", "offering": "tokens_monthly", "coupon": "TEN"},
    )

    assert made.json()["coupon"] == "TEN"
    assert book.test_clock_id is not None
    test_clocks.advance(clock_id=book.test_clock_id, livemode=False, to=START + timedelta(days=95))
    found = Settlement.objects.order_by("cycle")
    assert [s.totals["total"] for s in found] == totals


def test_a_coupon_is_redeemed_no_more_often_than_it_allows(api: APIClient) -> None:
    body = {"code": "ONE", "type": "FIXED", "value": 5, "currency": "USD", "duration": "ONCE",
            "max_redemptions": 1}  # fmt: skip
    assert api.post("/v1/coupons", body).status_code == 201
    factories.offering()
    for key in ("cust_1", "cust_2"):
        factories.customer(key)
    subscribe = {"offering": "tokens_monthly", "coupon": "ONE"}
    first = api.post("/v1/subscriptions", subscribe | {"customer_id": "cust_1"})
    before = factories.everything()

    second = api.post("/v1/subscriptions", subscribe | {"customer_id": "cust_2"})
    unknown = api.post("/v1/subscriptions", subscribe | {"customer_id": "cust_2", "coupon": "NO"})

    assert first.status_code == 201
    assert (second.status_code, second.json()["code"]) == (409, "coupon_spent")
    assert (unknown.status_code, unknown.json()["code"]) == (422, "unknown_coupon")
    assert factories.everything() == before
    assert api.get("/v1/coupons").json()["data"][0]["redemptions"] == 1


@pytest.mark.parametrize(
    ("changes", "pointers"),
    [
        ({"value": 101}, ["/value"]),
        ({"currency": "USD"}, ["/currency"]),
        ({"type": "FIXED"}, ["/currency"]),
        ({"cycles": 2}, ["/cycles"]),
        ({"duration": "REPEATING"}, ["/cycles"]),
    ],
)
def test_a_coupon_that_cannot_be(
    api: APIClient, changes: dict[str, Any], pointers: list[str]
) -> None:
    body = {"code": "C", "type": "PERCENT", "value": 10, "duration": "ONCE"} | changes

    response = api.post("/v1/coupons", body)

    assert response.status_code == 422
    assert [e["pointer"] for e in response.json()["errors"]] == pointers
    assert api.get("/v1/coupons").json()["data"] == []
