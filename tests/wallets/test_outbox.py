"""Notices to other systems about wallets, and the limits that decide on them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from aforo.webhooks.models import OutboxEvent
from billing.jobs import test_clocks
from tests import factories
from wallets.models import Wallet

pytestmark = pytest.mark.django_db

URL = "/v1/wallets/cust_1/limits"


def told(kind: str) -> list[dict[str, Any]]:
    return list(
        OutboxEvent.objects.filter(type=kind).order_by("id").values_list("payload", flat=True)
    )


def test_low_is_told_once_until_the_balance_rises_again(api: APIClient) -> None:
    factories.customer()
    factories.top_up("cust_1", "100")
    api.patch(URL, {"currency": "USD", "low_balance_threshold": "20"})

    factories.debit("cust_1", "79")
    assert told("wallet.low_balance") == []
    factories.debit("cust_1", "1")
    factories.debit("cust_1", "5")
    assert [t["available"] for t in told("wallet.low_balance")] == ["20"]
    factories.top_up("cust_1", "50")
    factories.debit("cust_1", "60")

    assert [(t["available"], t["threshold"]) for t in told("wallet.low_balance")] == [
        ("20", "20"),
        ("5", "20"),
    ]
    assert told("wallet.depleted") == []
    factories.debit("cust_1", "5", "the last")
    assert [t["available"] for t in told("wallet.depleted")] == ["0"]


def test_declines_are_told_once_a_minute_of_the_customers_time() -> None:
    book = factories.clocked_customer()
    for n in range(5):
        factories.refusal(factories.debit("cust_1", "5", f"a{n}", currency="USD"))
    assert book.test_clock is not None
    test_clocks.advance(
        clock_id=book.test_clock.pk, livemode=False, to=factories.START + timedelta(minutes=1)
    )
    factories.refusal(factories.debit("cust_1", "6", "b", currency="USD"))

    assert [(t["code"], t["asked"]) for t in told("debit.declined")] == [
        ("insufficient_funds", "5"),
        ("insufficient_funds", "6"),
    ]


def test_grants_are_told_of_and_refusals_leave_nothing(api: APIClient) -> None:
    factories.customer()
    factories.grant("cust_1", "5")
    api.post(
        "/v1/wallets/grants",
        {"customer_id": "cust_1", "kind": "PROMO", "amount": "5", "currency": "USD",
         "reason": "late", "expires_at": "2020-01-01T00:00:00Z", "idempotency_key": "g"},
    )  # fmt: skip

    (granted,) = told("credits.granted")

    assert (granted["customer_id"], granted["kind"], granted["amount"]) == ("cust_1", "PROMO", "5")


def test_the_customers_overage_limit_goes_before_the_offerings(api: APIClient) -> None:
    factories.customer()
    factories.offering(overage_limit=Decimal(10))
    factories.subscription("cust_1")
    assert factories.refusal(factories.debit("cust_1", "11", "a")).code == "overage_limit"

    raised = api.patch(URL, {"currency": "USD", "overage_limit": "15"})

    assert (raised.status_code, raised.json()["overage_limit"]) == (200, "15")
    assert factories.body(factories.debit("cust_1", "11", "a"))["overage"] == "11"
    assert factories.refusal(factories.debit("cust_1", "5", "b")).code == "overage_limit"
    back = api.patch(URL, {"currency": "USD", "overage_limit": None})
    assert back.json()["overage_limit"] == "10"
    assert Wallet.objects.get().own_overage_limit is None


def test_what_is_left_out_stays(api: APIClient) -> None:
    factories.customer()
    api.patch(URL, {"currency": "USD", "low_balance_threshold": "20", "overage_limit": "5"})

    answer = api.patch(URL, {"currency": "USD", "overage_limit": "6"})

    assert answer.json() == {
        "customer_id": "cust_1",
        "currency": "USD",
        "low_balance_threshold": "20",
        "overage_limit": "6",
        "debt_limit": None,
    }


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"overage_limit": "5"}, "/currency"),
        ({"currency": "USD", "overage_limit": "-1"}, "/overage_limit"),
        ({"currency": "USD", "low_balance_threshold": "x"}, "/low_balance_threshold"),
        ({"currency": "USD", "limit": "1"}, "/limit"),
    ],
)
def test_bad_limits_change_nothing(api: APIClient, body: dict[str, Any], pointer: str) -> None:
    factories.customer()

    answer = api.patch(URL, body)

    assert answer.status_code == 422
    assert [e["pointer"] for e in answer.json()["errors"]] == [pointer]
    assert Wallet.objects.count() == 0


def test_limits_of_nobody(api: APIClient) -> None:
    assert api.patch("/v1/wallets/nobody/limits", {"currency": "USD"}).status_code == 404
