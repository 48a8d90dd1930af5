"""Refunds of top-ups that came with units: what a unit costs, and who has had its worth."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from aforo import money
from aforo.errors import DomainError
from billing.finance import verification
from tests import factories
from tests.factories import START
from tests.wallets import actions
from tests.wallets.top_ups.refunds import refund
from wallets.debits import engine
from wallets.models import CreditLot, TopUp
from wallets.top_ups import sales

pytestmark = pytest.mark.django_db


def buy_tokens(**terms: Any) -> None:
    """Buy 100 with 20,000 tokens; at .002 each they carry 28.57 of the 100.00, the cash 71.43."""
    sales.top_up(
        livemode=False,
        customer_id="cust_1",
        key=actions.fresh("tokens"),
        amount=Decimal(100),
        currency="USD",
        bonus=sales.Bonus(metric="tokens", quantity=Decimal(20_000), **terms),
    )


def use_tokens(quantity: int) -> None:
    use = engine.DebitRequest(
        customer_id="cust_1", key=actions.fresh("use"), metric="tokens", quantity=Decimal(quantity)
    )
    factories.body(actions.take(use))


@pytest.mark.parametrize(("used", "paid"), [(0, "100"), (10_000, "85.71"), (20_000, "71.43")])
def test_bonus_units_carry_their_share_which_is_not_refunded_once_they_are_used(
    used: int, paid: str
) -> None:
    factories.customer()
    factories.metric()
    buy_tokens(ssp_unit_price=Decimal("0.002"))
    if used:
        use_tokens(used)

    answer = refund("100")

    assert (answer["refunded"], answer["clawed_back"]) == (paid, "0")
    assert answer["balance"]["available"] == "0"
    assert actions.accounts().get("1010", 0) == 100 - Decimal(paid)
    assert verification.verify().ok


def test_three_times_over_nothing_is_won() -> None:
    """Buy, use all tokens, refund: each time 28.57 stays with the seller."""
    factories.clocked_customer()
    factories.metric()
    for day in range(3):
        actions.set_clock(START + timedelta(days=day))
        buy_tokens(ssp_unit_price=Decimal("0.002"))
        use_tokens(20_000)
        assert refund("100")["refunded"] == "71.43"

    assert actions.accounts()["1010"] == 3 * Decimal("28.57")


def test_part_of_the_units_is_taken_back_in_proportion() -> None:
    factories.customer()
    factories.metric()
    buy_tokens(ssp_unit_price=Decimal("0.002"))

    answer = refund("25")

    assert answer["refunded"] == "25"
    assert [(lot["kind"], lot["quantity"]) for lot in answer["lots"]] == [
        ("CASH", "25"), ("BONUS", "5000"),
    ]  # fmt: skip
    assert [round(Decimal(lot["carrying"]), 2) for lot in answer["lots"]] == [
        Decimal("17.86"), Decimal("7.14"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("source", "price", "carried"), [("grant", "0.002", "71.43"), ("charge", "0.01", "33.33")]
)
def test_the_plan_says_what_a_unit_costs_where_the_bonus_does_not(
    source: str, price: str, carried: str
) -> None:
    """A plan that charges .01 for a token; where it gives tokens too, it values them at .002."""
    given = {"kind": "BONUS", "metric": "tokens", "quantity": Decimal(1), "recurrence": "ONCE",
             "ssp_unit_price": Decimal("0.002")}  # fmt: skip
    factories.metric()
    factories.offering(
        "plan",
        charges=[
            {"code": "tokens", "description": "Tokens", "model": "PER_UNIT", "metric": "tokens",
             "terms": {"unit_price": "0.01"}},
        ],
        grants=[given] if source == "grant" else [],
    )  # fmt: skip
    factories.customer()
    factories.subscription("cust_1", "plan")

    buy_tokens()

    assert TopUp.objects.get().bonus_unit_price == Decimal(price)
    cash = CreditLot.objects.get(kind="CASH", top_up__isnull=False)
    assert money.round_amount(cash.carrying, "USD") == Decimal(carried)


def test_units_that_nobody_prices_are_not_sold_along() -> None:
    factories.customer()
    factories.metric()
    before = factories.everything()

    with pytest.raises(DomainError) as refused:
        buy_tokens()

    assert (refused.value.status, refused.value.code) == (422, "unit_price_required")
    assert factories.everything() == before
