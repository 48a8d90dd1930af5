"""`POST /v1/wallets/debits/batch`: in order, each alone."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from tests import factories

pytestmark = pytest.mark.django_db

BATCH = "/v1/wallets/debits/batch"


def debit(key: str | None, amount: object = 1, **changes: Any) -> dict[str, Any]:
    body = {"customer_id": "cust_1", "amount": amount, "idempotency_key": key} | changes
    return {name: value for name, value in body.items() if value is not None}


def test_each_succeeds_or_fails_alone_and_in_order(api: APIClient) -> None:
    book = factories.customer()
    factories.top_up("cust_1", "10")

    response = api.post(
        BATCH,
        {
            "debits": [
                debit("a", 6),
                debit("b", 6),
                debit("c", -1),
                debit("a", 6),
                debit(None),
                debit("d", 1, customer_id="nobody"),
                debit("a", 7),
                debit("e", 4),
            ]
        },
    )

    results = response.json()["results"]
    assert response.status_code == 200
    assert [(r["status"], r.get("code")) for r in results] == [
        (200, None),
        (402, "insufficient_funds"),
        (422, "not_positive"),
        (200, None),
        (422, "idempotency_key_required"),
        (404, "unknown_customer"),
        (422, "key_reused"),
        (200, None),
    ]
    assert results[3] == results[0] | {"replayed": True}
    assert results[1]["shortfall"] == "2"
    assert results[2]["errors"][0]["pointer"] == "/amount"
    assert factories.available(book) == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [({"debits": []}, 422), ({}, 422), ({"debits": [{}] * 1_001}, 413), ({"debits": "all"}, 422)],
)
def test_a_batch_that_is_none(api: APIClient, body: dict[str, Any], status: int) -> None:
    assert api.post(BATCH, body).status_code == status


def test_a_batch_of_a_thousand(api: APIClient) -> None:
    book = factories.customer()
    factories.top_up("cust_1", "1000")

    response = api.post(BATCH, {"debits": [debit(f"k{n}") for n in range(1_000)]})

    assert {r["status"] for r in response.json()["results"]} == {200}
    assert factories.available(book) == 0
