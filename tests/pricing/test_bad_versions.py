"""Versions that say what cannot be, each fault under its pointer."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from tests import factories
from tests.pricing.versions import everything

pytestmark = pytest.mark.django_db


def test_half_a_wording_is_no_version(api: APIClient, drafted: dict[str, Any]) -> None:
    api.post("/v1/rate-plans/p/publish", {})
    before = everything()

    refused = api.post("/v1/rate-plans/p/versions", {"minimum_spend": "5"})

    assert refused.status_code == 422
    assert [e["pointer"] for e in refused.json()["errors"]] == ["/charges"]
    assert everything() == before


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"maximum_spend": "8"}, "/minimum_spend", "above_maximum"),
        ({"minimum_spend": "-1"}, "/minimum_spend", "negative"),
        ({"burn_order": ["GOLD"]}, "/burn_order/0", "invalid_choice"),
        ({"caps": {"to/ken": 1}}, "/caps/to~1ken", "unknown_metric"),
        ({"caps": {"tokens": 0}}, "/caps/tokens", "not_positive"),
        ({"caps": {"tokens": {}}}, "/caps/tokens/quantity", "required"),
        ({"caps": {"tokens": {"quantity": "x"}}}, "/caps/tokens/quantity", "invalid_number"),
        ({"caps": {"a/b": {"quantity": -1}}}, "/caps/a~1b/quantity", "negative"),
        (
            {"caps": {"tokens": {"quantity": 1, "beyond": "FREE"}}},
            "/caps/tokens/beyond",
            "invalid_choice",
        ),
        ({"caps": {"tokens": {"quantity": 1, "over": 1}}}, "/caps/tokens/over", "unknown_field"),
        (
            {"caps": {"tokens": {"quantity": 1, "beyond": []}}},
            "/caps/tokens/beyond",
            "invalid_choice",
        ),
        ({"caps": [5]}, "/caps", "not_a_dict"),
        ({"charges": [{}]}, "/charges/0/code", "required"),
    ],
)
def test_a_bad_change_of_a_draft(
    api: APIClient, drafted: dict[str, Any], changes: dict[str, Any], pointer: str, code: str
) -> None:
    before = everything()

    refused = api.patch("/v1/rate-plans/p", changes)

    assert refused.status_code == 422
    first = refused.json()["errors"][0]
    assert (first["pointer"], first["code"]) == (pointer, code)
    assert everything() == before


@pytest.mark.parametrize(
    ("charge", "pointer", "code"),
    [
        ({"metric": "no"}, "/charges/0/metric", "unknown_metric"),
        ({"metric": None}, "/charges/0/metric", "null"),
        ({"metrics": [{"metric": "no"}]}, "/charges/0/metrics/0/metric", "unknown_metric"),
        ({"metrics": []}, "/charges/0/metric", "required"),
        (
            {"metrics": [{"metric": "tokens"}, {"metric": "tokens", "weight": 2}]},
            "/charges/0/metrics/1/metric",
            "repeated",
        ),
        (
            {"metric": "tokens", "metrics": [{"metric": "calls"}]},
            "/charges/0/metrics",
            "not_combinable",
        ),
        (
            {"metrics": [{"metric": "tokens", "weight": "0"}]},
            "/charges/0/metrics/0/weight",
            "not_positive",
        ),
        (
            {"metrics": [{"metric": "tokens", "weight": "1" + "0" * 16}]},
            "/charges/0/metrics/0/weight",
            "too_large",
        ),
        (
            {"metric": "tokens", "model": "GRADUATED", "terms": {"tiers": [
                {"up_to": 5, "unit_price": 1}, {"up_to": 5, "unit_price": 1},
                {"up_to": None, "unit_price": 1}]}},
            "/charges/0/terms/tiers/1/up_to",
            "not_ascending",
        ),
        (
            {"metric": "tokens", "model": "INCLUDED_QUOTA", "terms": {
                "included_quantity": 5, "block_size": 0, "block_price": 1}},
            "/charges/0/terms/block_size",
            "not_positive",
        ),
        (
            {"metric": "tokens", "model": "PERCENTAGE", "terms": {
                "percent": "2.5", "minimum_fee": 9, "maximum_fee": 8}},
            "/charges/0/terms/minimum_fee",
            "minimum_above_maximum",
        ),
        ({"metric": "tokens", "terms": None}, "/charges/0/terms", "null"),
        ({"metric": "tokens", "terms": []}, "/charges/0/terms", "invalid_type"),
        ({"metric": "tokens", "model": "MAGIC"}, "/charges/0/model", "invalid_choice"),
        ({"metric": "tokens", "timing": "NEVER"}, "/charges/0/timing", "invalid_choice"),
        ({"metric": "tokens", "price": 1}, "/charges/0/price", "unknown_field"),
    ],
)  # fmt: skip
def test_a_bad_charge(api: APIClient, charge: dict[str, Any], pointer: str, code: str) -> None:
    factories.metric("tokens")
    factories.metric("calls")
    sent = {"code": "c", "model": "PER_UNIT", "terms": {"unit_price": "1"}} | charge

    refused = api.post(
        "/v1/rate-plans", {"code": "p", "name": "P", "currency": "USD", "charges": [sent]}
    )

    assert refused.status_code == 422
    assert [(e["pointer"], e["code"]) for e in refused.json()["errors"]] == [(pointer, code)]
    assert everything() == [[], [], [], [], []]


@pytest.mark.parametrize(
    ("grant", "pointer", "code"),
    [
        ({"kind": "GOLD", "amount": 1}, "/grants/0/kind", "invalid_choice"),
        ({"amount": 0}, "/grants/0/amount", "not_positive"),
        ({"amount": 1, "quantity": 1, "metric": "tokens"}, "/grants/0/amount", "required"),
        ({"quantity": 1}, "/grants/0/amount", "required"),
        ({"quantity": 1, "metric": "no"}, "/grants/0/metric", "unknown_metric"),
        ({"amount": 1, "recurrence": "DAILY"}, "/grants/0/recurrence", "invalid_choice"),
        ({"amount": 1, "expires_after_days": 0}, "/grants/0/expires_after_days", "min_value"),
        ({"amount": 1, "priority": -1}, "/grants/0/priority", "min_value"),
        ({"amount": 1, "priority": 32768}, "/grants/0/priority", "max_value"),
        ({"amount": 1, "rollover": {"mode": "PERCENT"}}, "/grants/0/rollover/percent", "required"),
        (
            {"amount": 1, "rollover": {"mode": "PERCENT", "percent": 101}},
            "/grants/0/rollover/percent",
            "too_large",
        ),
        (
            {"quantity": 1, "metric": "tokens", "ssp_unit_price": "1" + "0" * 16},
            "/grants/0/ssp_unit_price",
            "too_large",
        ),
    ],
)
def test_a_bad_grant(api: APIClient, grant: dict[str, Any], pointer: str, code: str) -> None:
    factories.metric("tokens")
    plan = {"code": "p", "name": "P", "currency": "USD", "charges": [],
            "grants": [{"kind": "PROMO", "recurrence": "ONCE"} | grant]}  # fmt: skip

    refused = api.post("/v1/rate-plans", plan)

    assert refused.status_code == 422
    assert [(e["pointer"], e["code"]) for e in refused.json()["errors"]] == [(pointer, code)]
    assert everything() == [[], [], [], [], []]
