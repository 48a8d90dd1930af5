"""The payments by which refunds leave, and refunds over the API."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from rest_framework.test import APIClient

from billing.finance import verification
from tests import factories
from tests.wallets import actions
from tests.wallets.top_ups.refunds import bundle_with, refund
from wallets.debits import engine
from wallets.models import TopUp

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("terms", "account"),
    [
        ({"payment": None}, "1000"),
        ({"payment": {"method": "bank_transfer"}}, "1000"),
        ({"payment": {"method": "SEPA Direct Debit"}}, "1000"),
        ({"payment": {"method": "card_elsewhere"}}, "1010"),
    ],
)
def test_a_refund_leaves_through_the_account_that_the_payment_came_by(
    live_api: APIClient, terms: dict[str, Any], account: str
) -> None:
    """300 bought on account, paid by bank or by a card elsewhere; 50 refunded."""
    factories.customer(livemode=True)
    buy(live_api, "300", **terms)

    answer = pay_back(live_api, "50")

    assert answer.json()["pay_outs"] == [
        {
            "top_up": str(TopUp.objects.get().pk),
            "amount": "50",
            "account": account,
            "gateway_refund": None,
        }
    ]
    assert actions.accounts() == {account: Decimal(250), "2100": Decimal(-250)}
    assert TopUp.objects.get().refunded == 50
    assert verification.verify().ok


def test_each_payment_leaves_by_its_own_account(live_api: APIClient) -> None:
    """20 of the newer, by card, then 10 of the older, by bank; the cents of each by itself."""
    factories.customer(livemode=True)
    buy(live_api, "100", payment=None)
    buy(live_api, "20", payment={"method": "card_elsewhere"}, bonus={"amount": "10"})
    burn = engine.DebitRequest(
        customer_id="cust_1", key="burn", amount=Decimal(10), strategy="BONUS"
    )
    factories.body(actions.take(burn, livemode=True))

    answer = pay_back(live_api, "30")

    # 20 of 30 credits for 20.00 carry 13.3333..
    assert [(each["amount"], each["account"]) for each in answer.json()["pay_outs"]] == [
        ("13.33", "1010"), ("10", "1000"),
    ]  # fmt: skip
    accounts = actions.accounts()
    assert (accounts["1000"], accounts["1010"]) == (90, Decimal("6.67"))
    assert verification.verify().ok


def test_credits_on_account_that_a_card_paid_are_refunded_to_it(live_api: APIClient) -> None:
    factories.customer(livemode=True)
    buy(live_api, "100", payment=None, paid_with="card")

    pay_back(live_api, "40")

    assert actions.accounts() == {"1010": Decimal(60), "2100": Decimal(-60)}
    assert TopUp.objects.get().paid_by == "PROCESSOR"
    assert verification.verify().ok


def test_a_top_up_from_before_the_way_was_kept_leaves_by_its_channel(live_api: APIClient) -> None:
    """Until then a wire that was named as such came into 1010."""
    factories.customer(livemode=True)
    buy(live_api, "100", payment={"method": "card"})
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE wallets_topup DISABLE TRIGGER USER")
        cursor.execute("UPDATE wallets_topup SET method = 'wire', paid_by = ''")

    assert pay_back(live_api, "40").json()["pay_outs"][0]["account"] == "1010"


def test_how_a_top_up_was_paid_never_changes(live_api: APIClient) -> None:
    factories.customer(livemode=True)
    buy(live_api, "100", payment={"method": "wire"})

    with pytest.raises(IntegrityError, match="how a top-up was paid"), transaction.atomic():
        TopUp.objects.update(paid_by="PROCESSOR")

    assert TopUp.objects.get().paid_by == "BANK"


def buy(
    api: APIClient, amount: str, *, payment: Any, bonus: Any = None, paid_with: str = "bank"
) -> None:
    """Buy in live mode; what is sold on account is paid by bank, unless something else is said."""
    asked = {"customer_id": "cust_1", "amount": amount, "currency": "USD",
             "idempotency_key": actions.fresh("buy"),
             "payment": payment, "bonus": bonus}  # fmt: skip
    sold = api.post(
        "/v1/wallets/top-ups", {name: value for name, value in asked.items() if value is not None}
    )
    assert sold.status_code == 201, sold.content
    if payment is None:
        paid = api.post(
            f"/v1/invoices/{sold.json()['invoice']}/pay",
            {
                "amount": amount,
                "reference": "received",
                "method": paid_with,
                "idempotency_key": actions.fresh("pay"),
            },
        )
        assert paid.status_code == 200, paid.content


def pay_back(api: APIClient, amount: str) -> Any:
    answer = api.post(
        "/v1/wallets/refunds",
        {"customer_id": "cust_1", "amount": amount, "currency": "USD", "reason": "unused",
         "idempotency_key": actions.fresh("refund")},
    )  # fmt: skip
    assert answer.status_code == 201, answer.content
    return answer


def test_a_pay_out_that_does_not_match_its_movements_is_found() -> None:
    bundle_with("8")
    refund("50")
    TopUp.objects.update(refunded=Decimal("49.99"))

    found = verification.verify().first_bad

    assert found is not None
    assert found.reason == "refunded is 49.990000000000, its movements say 50.00"


def test_over_the_api(api: APIClient, live_api: APIClient) -> None:
    bundle_with("8")
    body = {"customer_id": "cust_1", "amount": "50", "currency": "USD", "reason": "unhappy",
            "idempotency_key": "k"}  # fmt: skip

    first = api.post("/v1/wallets/refunds", body)
    before = factories.everything()
    again = api.post("/v1/wallets/refunds", body | {"amount": 50})
    other = api.post("/v1/wallets/refunds", body | {"reason": "bored"})
    strange = live_api.post("/v1/wallets/refunds", body)

    assert (first.status_code, first.json()["refunded"]) == (201, "50")
    assert (again.content, again["Idempotency-Replayed"]) == (first.content, "true")
    assert other.json()["errors"][0]["pointer"] == "/reason"
    assert (strange.status_code, strange.json()["code"]) == (404, "unknown_customer")
    assert factories.everything() == before
