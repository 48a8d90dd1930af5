"""Numbers in JSON are read exactly wherever they stand, also deep inside a document."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from tests import factories

pytestmark = pytest.mark.django_db


VOLUME = """{"tiers": [{"up_to": 10.5, "unit_price": 0.1},
    {"up_to": null, "unit_price": 0.05, "flat_fee": 0.5}]}"""
GRADUATED = """{"tiers": [{"up_to": 10, "unit_price": 0.1},
    {"up_to": null, "unit_price": 0.05}]}"""


def send(api: APIClient, path: str, raw: str, status: int = 201) -> Any:
    response = api.post(path, raw.encode(), content_type="application/json")
    assert response.status_code == status, response.content
    return response.json()


@pytest.mark.parametrize(
    ("model", "terms", "quantity", "amount"),
    [
        ("PER_UNIT", '{"unit_price": 0.002}', "1000", "2"),
        ("PER_UNIT", '{"unit_price": 2e-3, "included_quantity": 100.5}', "1000", "1.799"),
        ("FLAT_RATE", '{"flat_fee": 9.99}', "1", "9.99"),
        ("VOLUME", VOLUME, "20", "1.5"),
        ("GRADUATED", GRADUATED, "20", "1.5"),
        ("INCLUDED_QUOTA", '{"included_quantity": 10, "block_size": 5, "block_price": 0.25}',
         "16", "0.5"),
        ("PERCENTAGE", '{"percent": 2.9, "fixed_fee_per_event": 0.3}', "100", "3.2"),
    ],
)  # fmt: skip
def test_in_a_price(api: APIClient, model: str, terms: str, quantity: str, amount: str) -> None:
    charge = f'{{"code": "c", "model": "{model}", "metric": "tokens", "terms": {terms}}}'

    raw = f'{{"charge": {charge}, "quantity": {quantity}, "value": {quantity}}}'

    assert send(api, "/v1/pricing/preview", raw, 200)["amount"] == amount


def test_in_a_plan_and_its_grants(api: APIClient) -> None:
    factories.metric()
    raw = """{"code": "p", "name": "P", "currency": "USD", "minimum_spend": 0.5,
        "caps": {"tokens": 1000.5},
        "charges": [{"code": "c", "model": "INCLUDED_QUOTA", "metrics":
            [{"metric": "tokens", "weight": 0.25}],
            "terms": {"included_quantity": 10.5, "unit_price": 0.002,
                      "rollover": {"mode": "CAPPED", "maximum": 20.25}}}],
        "grants": [{"kind": "PROMO", "amount": 1.5, "recurrence": "EVERY_CYCLE",
            "rollover": {"mode": "PERCENT", "percent": 12.5}}]}"""

    made = send(api, "/v1/rate-plans", raw)
    again = send(api, "/v1/rate-plans", raw.replace('"p"', '"q"'))

    assert made["charges"][0]["metrics"][0]["weight"] == "0.25"
    assert made["charges"][0]["terms"]["unit_price"] == "0.002"
    assert made["charges"][0]["terms"]["rollover"]["maximum"] == "20.25"
    assert made["grants"][0]["rollover"]["percent"] == "12.5"
    assert {**made, "code": "q"} == again
    changed = api.generic(
        "PATCH", "/v1/rate-plans/p",
        '{"charges": [{"code": "c", "model": "PER_UNIT", "metric": "tokens", '
        '"terms": {"unit_price": 0.003}}]}',
        "application/json",
    )  # fmt: skip
    assert changed.json()["charges"][0]["terms"]["unit_price"] == "0.003"


def test_in_a_filter_of_a_metric(api: APIClient) -> None:
    raw = """{"code": "m", "name": "M", "aggregation": "COUNT", "filters": [
        {"property": "a", "op": "gt", "value": 0.5},
        {"property": "b", "op": "in", "value": [1.5, 2]}]}"""

    made = send(api, "/v1/metrics", raw)

    assert [rule["value"] for rule in made["filters"]] == ["0.5", ["1.5", "2"]]


@pytest.mark.parametrize("price", ["1e400", "NaN", "1" * 41, "[0.1]", '{"a": 0.1}', "true"])
def test_what_is_no_price_is_refused_by_name(api: APIClient, price: str) -> None:
    charge = (
        f'{{"code": "c", "model": "PER_UNIT", "metric": "m", "terms": {{"unit_price": {price}}}}}'
    )

    problem = send(api, "/v1/pricing/preview", f'{{"charge": {charge}, "quantity": 1}}', 422)

    assert problem["errors"][0]["pointer"] == "/charge/terms/unit_price"


def test_sums_keep_every_digit(api: APIClient) -> None:
    """Three lots of 14 integer and 12 decimal digits, and a small one: 28 digits are too few."""
    factories.customer("cust_1")
    for number, amount in enumerate(["9" * 26, "0.000000000001", "0.1"]):
        factories.grant("cust_1", amount, name=f"g{number}")

    wallet = api.get("/v1/wallets/cust_1").json()["wallets"][0]

    assert wallet["available"] == "9" * 26 + ".100000000001"
    assert wallet["by_kind"]["PROMO"] == "9" * 26 + ".100000000001"


def test_a_trial_balance_keeps_every_digit(api: APIClient) -> None:
    factories.customer("cust_1")
    for number, amount in enumerate(["1" + "0" * 25, "0.01", "0.01"]):
        factories.top_up("cust_1", amount, name=f"t{number}")

    rows = api.get("/v1/ledger/trial-balance").json()
    verified = api.get("/v1/ledger/verify").json()
    report: Any = api.get("/v1/ledger/reports/trial-balance")

    assert {row["balance"] for row in rows} == {"1" + "0" * 25 + ".02"}
    assert verified["ok"] is True
    assert b"1" + b"0" * 25 + b".02" in b"".join(report.streaming_content)
