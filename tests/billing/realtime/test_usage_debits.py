"""Usage paid in real time: the marginal price, units before money, netted at settlement."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from billing.finance import verification
from billing.models import CycleBurn, Invoice, Settlement, UsageEvent
from pricing.offerings import coupons
from tests import factories
from tests.billing.realtime.usage_requests import use
from tests.factories import FEBRUARY, START, advance, meter, subscribed

pytestmark = pytest.mark.django_db

# 10,000 at 0.008 are 80; at 15,000 all of them cost 0.005, which is 75 (docs/decisions.md#d17).
FALLING: list[dict[str, Any]] = [
    {
        "code": "tokens",
        "model": "VOLUME",
        "metric": "tokens",
        "terms": {
            "tiers": [
                {"up_to": "1000", "unit_price": "0.010"},
                {"up_to": "10000", "unit_price": "0.008"},
                {"up_to": None, "unit_price": "0.005"},
            ]
        },
    }
]


def test_units_pay_before_money(api: APIClient) -> None:
    """15,000 tokens at 0.002: promo 10,000, bonus 2,000 tokens, then 3,000 x 0.002 = 6.00."""
    subscribed("HYBRID")
    factories.grant_units("cust_1", "10000")
    factories.grant_units("cust_1", "2000", "BONUS")
    factories.top_up("cust_1", "5")

    answer = use(api, 15_000, "u1")

    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert [(a["kind"], a["amount"]) for a in body["allocations"]] == [
        ("PROMO", "10000"), ("BONUS", "2000"), ("CASH", "5"),
    ]  # fmt: skip
    assert (body["amount"], body["overage"]) == ("6", "1")
    assert body["balance"]["available"] == "0"
    assert body["unit_balance"]["available"] == "0"
    assert verification.verify().ok


def test_the_price_is_marginal_and_never_gives_back(api: APIClient) -> None:
    book = subscribed("PREPAID", charges=FALLING)
    factories.top_up("cust_1", "100")

    first, second = use(api, 10_000, "u1").json(), use(api, 5_000, "u2").json()

    assert (first["amount"], second["amount"]) == ("80", "0")
    assert second["entry"] is None
    advance(book, FEBRUARY)
    settlement = Settlement.objects.get(book=book, ends_at=FEBRUARY)
    assert settlement.totals["total"] == "75"
    assert settlement.totals["from_wallet"]["CASH"] == "75"
    assert factories.available(book) == 25
    assert verification.verify().ok


def test_what_credits_do_not_cover_is_refused_and_nothing_changes(api: APIClient) -> None:
    subscribed("PREPAID")
    factories.top_up("cust_1", "1")
    before = (factories.everything(), UsageEvent.objects.count(), CycleBurn.objects.count())

    refused = use(api, 1_000, "u1")

    assert refused.status_code == 402
    assert refused.json()["code"] == "insufficient_funds"
    assert (refused.json()["shortfall"], refused.json()["available"]) == ("1", "1")
    after = (factories.everything(), UsageEvent.objects.count(), CycleBurn.objects.count())
    assert after == before
    # A refusal does not use up its key: 500 x 0.002 = 1.00 is covered.
    assert use(api, 500, "u1").json()["amount"] == "1"


def test_a_repeat_is_replayed_and_other_content_refused(api: APIClient) -> None:
    book = subscribed("PREPAID")
    factories.top_up("cust_1", "10")

    first, again = use(api, 100, "u1"), use(api, "100.0", "u1")

    assert again.content == first.content
    assert again["Idempotency-Replayed"] == "true"
    assert use(api, 101, "u1").json()["code"] == "key_reused"
    assert UsageEvent.objects.filter(book=book).count() == 1


def test_the_key_of_a_metered_event_is_taken(api: APIClient) -> None:
    subscribed("PREPAID")
    factories.top_up("cust_1", "10")
    factories.meter(5, START, "u1")

    refused = use(api, 5, "u1")

    assert (refused.status_code, refused.json()["code"]) == (422, "key_reused")
    assert UsageEvent.objects.count() == 1


def test_mixed_with_metered_usage_the_cycle_bills_the_whole_once(api: APIClient) -> None:
    """400 metered and 600 in real time at 0.002 are 2.00, whichever way they came."""
    book = subscribed("HYBRID")
    factories.top_up("cust_1", "1.50")
    advance(book, START + timedelta(days=1))
    factories.meter(400, START + timedelta(hours=1), "m1")
    use(api, 600, "u1")

    advance(book, FEBRUARY)

    totals = Settlement.objects.get(book=book, ends_at=FEBRUARY).totals
    assert (totals["total"], totals["from_wallet"]["CASH"], totals["to_invoice"]) == (
        "2", "1.5", "0.5",
    )  # fmt: skip
    assert Invoice.objects.get().amount_due == Decimal("0.5")
    assert verification.verify().ok


def test_a_debit_takes_the_price_of_its_own_usage(api: APIClient) -> None:
    """1,000 metered (2.00) wait to be burned; 500 in real time cost 1.00, whoever paid the rest.

    Promo that came since then pays for the metered usage first, which gives the cash back.
    """
    book = subscribed("PREPAID")
    factories.top_up("cust_1", "5")
    meter(1_000, START, "m1")
    assert use(api, 500, "u1").json()["amount"] == "1"
    assert factories.available(book) == 2
    factories.grant("cust_1", "10")

    second = use(api, 500, "u2").json()

    assert [(a["kind"], a["amount"]) for a in second["allocations"]] == [("PROMO", "1")]
    assert second["amount"] == "1"
    # Promo pays 2.00 of what was metered and 1.00; cash keeps only the 1.00 of real time.
    assert second["balance"]["by_kind"] == {"PROMO": "7", "BONUS": "0", "CASH": "4"}
    assert verification.verify().ok


def test_only_settlement_gives_back_what_was_paid_in_real_time(api: APIClient) -> None:
    """80 paid for 10,000, of which 15,000 cost 75: burning what was metered returns nothing."""
    book = subscribed("PREPAID", charges=FALLING)
    factories.top_up("cust_1", "100")
    use(api, 10_000, "u1")
    meter(5_000, START, "m1")

    advance(book, START + timedelta(days=1))

    assert factories.available(book) == 20
    # 20,000 x .005 are 100: 20 more than was paid.
    assert use(api, 5_000, "u2").json()["amount"] == "20"
    advance(book, FEBRUARY)
    assert factories.available(book) == 0
    assert verification.verify().ok


def test_paid_usage_keeps_its_payer(api: APIClient) -> None:
    """Cash paid on day 1; promo granted on day 2 pays only for what comes after."""
    book = subscribed("PREPAID")
    factories.top_up("cust_1", "10")
    use(api, 1_000, "u1")
    advance(book, START + timedelta(days=1))
    factories.grant("cust_1", "10")
    use(api, 1_000, "u2")

    advance(book, FEBRUARY)

    totals = Settlement.objects.get(book=book, ends_at=FEBRUARY).totals
    assert totals["from_wallet"] == {"PROMO": "2", "BONUS": "0", "CASH": "2"}
    assert verification.verify().ok


def test_tax_and_coupon_are_in_the_price(api: APIClient) -> None:
    """1,000 x 0.002 = 2.00, less 50 %, plus 10 % tax = 1.10."""
    book = factories.clocked_customer()
    api.patch("/v1/customers/cust_1", {"country": "ES"})
    api.post("/v1/tax-rates", {"name": "IVA", "country": "ES", "percent": "10",
        "valid_from": "2025-01-01T00:00:00Z"})  # fmt: skip
    factories.offering(billing_mode="PREPAID")
    coupons.create_coupon(
        livemode=False, code="half", type="PERCENT", value=Decimal(50), duration="FOREVER"
    )
    api.post(
        "/v1/subscriptions",
        {"customer_id": "cust_1", "offering": "tokens_monthly", "coupon": "half"},
    )
    factories.top_up("cust_1", "5")

    body = use(api, 1_000, "u1").json()

    assert body["amount"] == "1.1"
    advance(book, FEBRUARY)
    totals = Settlement.objects.get(book=book, ends_at=FEBRUARY).totals
    assert (totals["subtotal"], totals["discount"], totals["tax"], totals["total"]) == (
        "2", "1", "0.1", "1.1",
    )  # fmt: skip
    assert verification.verify().ok


def test_a_refusing_cap(api: APIClient) -> None:
    cap = {"quantity": "1000", "beyond": "REFUSED"}
    subscribed("PREPAID", spec={"caps": {"tokens": cap}})
    factories.top_up("cust_1", "10")
    use(api, 900, "u1")
    before = factories.everything()

    refused = use(api, 200, "u2")

    assert refused.status_code == 402, refused.content
    assert refused.json()["code"] == "quota_exceeded"
    assert factories.everything() == before


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"metric": "nothing"}, 422, "unknown_metric"),
        ({"customer_id": "nobody"}, 404, "unknown_customer"),
        ({"quantity": "0"}, 422, "not_positive"),
        ({"quantity": "1.0000001"}, 422, "too_many_decimals"),
        ({"quantity": "100000000000000"}, 422, "too_large"),
        ({"quantity": "much"}, 422, "invalid_number"),
        ({"occurred_at": "2026-01-01T00:06:00Z"}, 422, "in_the_future"),
        ({"occurred_at": "2025-12-31T23:59:59Z"}, 422, "period_settled"),
        ({"surprise": 1}, 422, "unknown_field"),
        ({"idempotency_key": ""}, 422, "blank"),
    ],
)
def test_bad_input(api: APIClient, change: dict[str, Any], status: int, code: str) -> None:
    subscribed("PREPAID")
    factories.top_up("cust_1", "10")
    before = (factories.everything(), UsageEvent.objects.count())

    body = {"customer_id": "cust_1", "metric": "tokens", "quantity": 1, "idempotency_key": "u1"}
    refused = api.post("/v1/usage/debit", body | change)

    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert (factories.everything(), UsageEvent.objects.count()) == before


def test_without_a_subscription_usage_has_no_price(api: APIClient) -> None:
    factories.clocked_customer()
    factories.metric()

    assert use(api, 1, "u1").json()["code"] == "no_subscription"
