"""Contested payments in part, and what the processor asks for them (docs/decisions.md#d451)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from rest_framework.test import APIClient

from billing.finance import verification
from billing.models import Claim
from tests import factories
from tests.wallets import actions
from tests.wallets.top_ups.disputes import buy, move, posted, refund
from wallets.models import CreditLot, TopUp

pytestmark = pytest.mark.django_db
D = Decimal


def left() -> list[tuple[str, Decimal]]:
    lots = CreditLot.objects.filter(remaining__gt=0).order_by("id")
    return [(lot.kind, lot.remaining) for lot in lots]


def test_a_part_lost_takes_unused_credits_first_then_leaves_a_claim(api: APIClient) -> None:
    """100 of which 60 are used, 50 contested and lost, the fee 15: 40 unused, 10 claimed."""
    factories.customer()
    top_up = buy(api, bonus=None)
    factories.debit("cust_1", "60", "spent")

    opened = move(api, top_up, "opened", amount="50")
    lost = move(api, top_up, "lost", fee="15")

    assert posted(opened) == [("1020", "1010", D(50))]
    assert posted(lost) == [
        ("2100", "1020", D(40)), ("4940", "1020", D(10)), ("6300", "1010", D(15)),
    ]  # fmt: skip
    assert (lost.json()["owed"], lost.json()["fee"], lost.json()["disputed"]) == ("10", "15", "50")
    claim = Claim.objects.get()
    assert (claim.amount, claim.paid) == (10, 0)
    accounts = actions.accounts()
    assert (accounts["1010"], accounts.get("1020", 0)) == (35, 0)
    assert verification.verify().ok


@pytest.mark.parametrize(
    ("at_opening", "at_end", "cost"), [("15", "0", 0), ("15", None, 15), (None, "20", 20)]
)
def test_a_part_won_comes_back_and_the_fee_is_what_the_processor_says(
    api: APIClient, at_opening: str | None, at_end: str | None, cost: int
) -> None:
    book = factories.customer()
    top_up = buy(api, bonus=None)
    factories.debit("cust_1", "60", "spent")

    move(api, top_up, "opened", amount="50", fee=at_opening)
    (frozen,) = api.get("/v1/wallets/cust_1").json()["wallets"]
    assert frozen["available"] == "0"
    move(api, top_up, "won", fee=at_end)

    assert factories.available(book) == 40
    accounts = actions.accounts()
    assert (accounts["1010"], accounts.get("6300", 0)) == (100 - cost, cost)
    assert "1020" not in accounts
    assert TopUp.objects.get().dispute_fee == cost
    assert Claim.objects.count() == 0
    assert verification.verify().ok


def test_of_a_bundle_each_lot_loses_the_same_part(api: APIClient) -> None:
    """50 of 100 + 20 for 100.00: 50 cash and 10 bonus, 41.67 and 8.33."""
    book = factories.customer()
    top_up = buy(api)

    move(api, top_up, "opened", amount="50")
    lost = move(api, top_up, "lost")

    assert left() == [("CASH", D(50)), ("BONUS", D(10))]
    assert [(debit, round(amount, 2)) for debit, _, amount in posted(lost)] == [
        ("2100", D("41.67")), ("2110", D("8.33")),
    ]  # fmt: skip
    assert lost.json()["owed"] == "0"
    assert factories.available(book) == 60
    assert verification.verify().ok


def test_a_spent_bonus_is_made_up_by_the_cash_that_is_left(api: APIClient) -> None:
    """100 cash carry 83.33, so 50 lost are 60 of them, and nothing is claimed."""
    factories.customer()
    top_up = buy(api)
    factories.debit("cust_1", "20", "spent", strategy="BONUS")

    move(api, top_up, "opened", amount="50")
    lost = move(api, top_up, "lost")

    assert left() == [("CASH", D(40))]
    assert (lost.json()["owed"], Claim.objects.count()) == ("0", 0)
    assert "1020" not in actions.accounts()
    assert verification.verify().ok


def test_what_is_held_counts_as_spent(api: APIClient) -> None:
    """Of 100, 30 are held: 80 lost take the 70 that are free, 10 are claimed."""
    factories.customer()
    top_up = buy(api, bonus=None)
    api.post(
        "/v1/wallets/reservations",
        {"customer_id": "cust_1", "amount": "30", "currency": "USD", "idempotency_key": "hold"},
    )

    move(api, top_up, "opened", amount="80")
    lost = move(api, top_up, "lost")

    assert lost.json()["owed"] == "10"
    assert left() == [("CASH", D(30))]
    assert verification.verify().ok


def test_less_may_be_lost_than_was_contested(api: APIClient) -> None:
    book = factories.customer()
    top_up = buy(api, bonus=None)

    move(api, top_up, "opened")
    lost = move(api, top_up, "lost", amount="30")

    assert posted(lost) == [("1010", "1020", D(70)), ("2100", "1020", D(30))]
    assert TopUp.objects.get().disputed == 30
    assert factories.available(book) == 70
    assert verification.verify().ok


def test_the_rest_of_a_refunded_payment_lost_leaves_no_fraction(api: APIClient) -> None:
    """83.33 of 100 carry 69.4416..: 69.44 are paid back, and the other 30.56 contested."""
    factories.customer()
    top_up = buy(api)
    factories.debit("cust_1", "20", "spent", strategy="BONUS")
    assert refund(api, "83.33").json()["refunded"] == "69.44"

    move(api, top_up, "opened", amount="30.56")
    move(api, top_up, "lost")

    accounts = actions.accounts()
    assert not {"1010", "1020", "2100", "7900"} & set(accounts)
    assert verification.verify().ok


def test_a_bank_takes_back_from_the_bank_account(live_api: APIClient) -> None:
    factories.customer(livemode=True)
    top_up = buy(live_api, bonus=None, payment={"method": "sepa_debit"})

    move(live_api, top_up, "opened", amount="50")
    move(live_api, top_up, "lost", fee="3")

    assert actions.accounts() == {"1000": D(47), "2100": D(-50), "6300": D(3)}
    assert verification.verify().ok


@pytest.mark.parametrize(
    ("steps", "asked", "code", "pointer"),
    [
        ([], {"state": "opened", "amount": "100.01"}, "out_of_range", "/amount"),
        ([], {"state": "opened", "amount": "0.001"}, "not_payable", "/amount"),
        ([], {"state": "opened", "amount": "0"}, "not_positive", "/amount"),
        ([], {"state": "opened", "fee": "0.001"}, "not_payable", "/fee"),
        ([], {"state": "opened", "fee": "-1"}, "negative", "/fee"),
        (["opened"], {"state": "won", "amount": "50"}, "out_of_range", "/amount"),
        (["opened"], {"state": "lost", "amount": "50.01"}, "out_of_range", "/amount"),
    ],
)
def test_a_step_that_names_too_much_changes_nothing(
    api: APIClient, steps: list[str], asked: dict[str, Any], code: str, pointer: str
) -> None:
    factories.customer()
    top_up = buy(api, bonus=None)
    for step in steps:
        assert move(api, top_up, step, amount="50").status_code == 200
    before = factories.everything()

    refused = move(api, top_up, key="refused", **asked)

    (error,) = refused.json()["errors"]
    assert (refused.status_code, error["code"], error["pointer"]) == (422, code, pointer)
    assert factories.everything() == before


def test_a_repeat_names_the_same(api: APIClient) -> None:
    factories.customer()
    top_up = buy(api, bonus=None)
    first = move(api, top_up, "opened", "k", amount="50")
    before = factories.everything()

    again = move(api, top_up, "opened", "k", amount="50.00")
    other = move(api, top_up, "opened", "k", amount="40")

    assert (again.content, again["Idempotency-Replayed"]) == (first.content, "true")
    assert (other.status_code, other.json()["code"]) == (422, "key_reused")
    assert factories.everything() == before


@pytest.mark.parametrize(
    "changes", [{"dispute_fee": D(15)}, {"dispute": "lost", "dispute_fee": D(-1)},
                {"dispute": "lost", "dispute_fee": D("0.001")}]
)  # fmt: skip
def test_the_database_takes_a_fee_for_a_dispute_alone(
    api: APIClient, changes: dict[str, Any]
) -> None:
    factories.customer()
    buy(api)

    with pytest.raises(IntegrityError, match="wallets_topup_dispute_fee"), transaction.atomic():
        TopUp.objects.update(**changes)
