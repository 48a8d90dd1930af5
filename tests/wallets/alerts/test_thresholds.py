"""Thresholds of wallets as the API sets, replaces and shows them."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from tests import factories
from wallets.models import AlertThreshold, Wallet

pytestmark = pytest.mark.django_db

URL = "/v1/wallets/cust_1/alerts"
AT_20 = {"at": "20", "unit": "AMOUNT"}


def put(api: APIClient, *thresholds: dict[str, Any], **of: str) -> Any:
    return api.put(URL, {**(of or {"currency": "USD"}), "thresholds": list(thresholds)})


def test_a_wallet_has_those_that_were_set_last(api: APIClient) -> None:
    factories.customer()
    factories.metric()
    first = put(api, AT_20, {"at": 25, "unit": "PERCENT", "mail": False})
    put(api, {"at": "7", "unit": "RUNWAY_DAYS"}, metric="tokens")

    assert first.json() == {
        "customer_id": "cust_1",
        "currency": "USD",
        "thresholds": [
            {"at": "20", "unit": "AMOUNT", "mail": True, "crossed_at": None},
            {"at": "25", "unit": "PERCENT", "mail": False, "crossed_at": None},
        ],
    }
    put(api, {**AT_20, "mail": False})
    assert api.get(URL).json()["data"] == [
        {
            "customer_id": "cust_1",
            "currency": "USD",
            "thresholds": [{"at": "20", "unit": "AMOUNT", "mail": False, "crossed_at": None}],
        },
        {
            "customer_id": "cust_1",
            "metric": "tokens",
            "thresholds": [{"at": "7", "unit": "RUNWAY_DAYS", "mail": True, "crossed_at": None}],
        },
    ]


def test_one_that_stays_keeps_its_state(api: APIClient) -> None:
    factories.customer()
    put(api, AT_20)
    AlertThreshold.objects.update(crossed_at=factories.START)

    again = put(api, {**AT_20, "mail": False}, {"at": "5", "unit": "AMOUNT"})

    states = [each["crossed_at"] for each in again.json()["thresholds"]]
    assert states == [None, "2026-01-01T00:00:00Z"]
    assert put(api).json()["thresholds"] == []
    assert AlertThreshold.objects.count() == 0


@pytest.mark.parametrize(
    ("threshold", "pointer", "code"),
    [
        ({"at": "100.1", "unit": "PERCENT"}, "/thresholds/0/at", "out_of_range"),
        ({"at": "0", "unit": "RUNWAY_DAYS"}, "/thresholds/0/at", "not_positive"),
        ({"at": "0", "unit": "SPENT_PER_DAY"}, "/thresholds/0/at", "not_positive"),
        ({"at": "1.5", "unit": "EXPIRING_DAYS"}, "/thresholds/0/at", "out_of_range"),
        ({"at": "91", "unit": "EXPIRING_DAYS"}, "/thresholds/0/at", "out_of_range"),
        ({"at": "-1", "unit": "AMOUNT"}, "/thresholds/0/at", "negative"),
        ({"at": "1", "unit": "EUROS"}, "/thresholds/0/unit", "invalid_choice"),
        ({"unit": "AMOUNT"}, "/thresholds/0/at", "required"),
    ],
)
def test_a_bad_threshold_changes_nothing(
    api: APIClient, threshold: dict[str, Any], pointer: str, code: str
) -> None:
    factories.customer()
    put(api, AT_20)

    answer = put(api, threshold)

    assert answer.status_code == 422
    assert [(e["pointer"], e["code"]) for e in answer.json()["errors"]] == [(pointer, code)]
    assert [str(row) for row in AlertThreshold.objects.all()] == ["AMOUNT 20"]


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"thresholds": []}, "/currency", "required"),
        ({"thresholds": [], "currency": "USD", "metric": "tokens"}, "/currency", "required"),
        ({"thresholds": [], "metric": "nothing"}, "/metric", "unknown_metric"),
        ({"currency": "USD"}, "/thresholds", "required"),
        ({"thresholds": [AT_20, AT_20], "currency": "USD"}, "/thresholds/1/at", "repeated"),
    ],
)
def test_a_bad_request_changes_nothing(
    api: APIClient, body: dict[str, Any], pointer: str, code: str
) -> None:
    factories.customer()

    answer = api.put(URL, body)

    assert answer.status_code == 422
    assert [(e["pointer"], e["code"]) for e in answer.json()["errors"]] == [(pointer, code)]
    assert (AlertThreshold.objects.count(), Wallet.objects.count()) == (0, 0)


def test_of_nobody(api: APIClient) -> None:
    assert put(api, AT_20).status_code == 404
    assert api.get(URL).status_code == 404
