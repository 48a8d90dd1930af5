"""What a lost dispute claims of who has spent the credits, and what pays the claim."""

from __future__ import annotations

from decimal import Decimal

import pytest
from rest_framework.test import APIClient

from billing.finance import verification
from billing.models import Claim, Subscription
from tests import factories
from tests.wallets import actions
from tests.wallets.top_ups.disputes import buy, move, posted, refund, reverse
from wallets.models import Wallet

pytestmark = pytest.mark.django_db


def test_a_dispute_that_is_lost_takes_the_rest_and_claims_what_was_spent(api: APIClient) -> None:
    """100 + 20 for 100.00; 44 burned: bonus 20 (16.67) and cash 24 (20.00), so 36.67 is owed."""
    book = factories.customer()
    factories.offering(billing_mode="PREPAID")
    factories.subscription("cust_1")
    top_up = buy(api)
    factories.debit("cust_1", "44", "spent")
    move(api, top_up, "opened")

    lost = move(api, top_up, "lost")

    assert posted(lost) == [
        ("2100", "1020", Decimal("63.333333333333")),
        ("4940", "1020", Decimal("36.666666666667")),
    ]
    assert factories.available(book) == 0
    claim = Claim.objects.get()
    assert (claim.amount, claim.paid) == (Decimal("36.666666666667"), 0)
    assert Subscription.objects.get().status == "SUSPENDED"
    assert Wallet.objects.get().spend_state == "SUSPENDED"
    assert factories.refusal(factories.debit("cust_1", "1", "later")).code == "suspended"
    assert verification.verify().ok

    buy(api, "again", amount="50", bonus=None)

    claim.refresh_from_db()
    assert claim.paid == claim.amount
    assert factories.available(book) == Decimal("13.333333333333")
    # What was lost is got back, and nothing is sold: of 44 used, 36.67 are revenue.
    assert factories.posted("4940") == 0
    assert factories.posted("4000") + factories.posted("4010") == Decimal("-36.666666666667")
    assert Subscription.objects.get().status == "ACTIVE"
    factories.body(factories.debit("cust_1", "1", "allowed again"))
    assert verification.verify().ok


def test_a_claim_suspends_a_customer_without_a_subscription_too(api: APIClient) -> None:
    factories.customer()
    top_up = buy(api)
    factories.debit("cust_1", "60", "spent")
    move(api, top_up, "opened")
    move(api, top_up, "lost")

    assert factories.refusal(factories.debit("cust_1", "1", "later")).code == "suspended"
    factories.grant("cust_1", "30", "BONUS")
    assert factories.refusal(factories.debit("cust_1", "1", "still")).code == "suspended"
    factories.grant("cust_1", "40", "BONUS", name="more")

    claim = Claim.objects.get()
    assert claim.paid == claim.amount == Decimal("50.000000000000")
    assert factories.body(factories.debit("cust_1", "20", "allowed"))["balance"]["available"] == "0"
    assert verification.verify().ok


def test_other_credits_pay_a_claim_at_once(api: APIClient) -> None:
    book = factories.customer()
    top_up = buy(api, bonus={"amount": "20"})
    buy(api, "other", amount="90", bonus={"amount": "10"})
    factories.debit("cust_1", "24", "spent")
    move(api, top_up, "opened")
    move(api, top_up, "lost")

    claim = Claim.objects.get()
    assert claim.paid == claim.amount
    assert Wallet.objects.get().spend_state == "ACTIVE"
    assert book.claims.count() == 1
    assert verification.verify().ok


def test_what_is_held_counts_as_spent_and_its_release_pays_the_claim(api: APIClient) -> None:
    """100 for 100.00, 30 held: 70 is taken, 30 owed; voided, the 30 pay it."""
    book = factories.customer()
    top_up = buy(api, bonus=None)
    held = api.post(
        "/v1/wallets/reservations",
        {"customer_id": "cust_1", "amount": "30", "currency": "USD", "strategy": "CASH",
         "idempotency_key": "h"},
    )  # fmt: skip
    assert held.status_code == 201, held.content
    move(api, top_up, "opened")
    lost = move(api, top_up, "lost")
    assert lost.json()["owed"] == "30"

    voided = api.post(
        f"/v1/wallets/reservations/{held.json()['id']}/void", {"idempotency_key": "v"}
    )

    assert voided.status_code == 200
    assert factories.available(book) == 0
    assert Claim.objects.get().paid == 30
    assert verification.verify().ok


def test_what_returns_to_a_spent_top_up_while_it_is_contested_is_frozen_too(
    api: APIClient,
) -> None:
    """100 bought and spent; contested, then the debit is taken back: the bank has the 100."""
    factories.customer()
    top_up = buy(api, bonus=None)
    spent = factories.debit("cust_1", "100", "spent")
    move(api, top_up, "opened")

    reverse(api, spent)

    assert api.get("/v1/wallets/cust_1").json()["wallets"][0]["available"] == "0"
    before = factories.everything()
    assert refund(api, "100").status_code == 402
    assert factories.refusal(factories.debit("cust_1", "1", "again")).code == "insufficient_funds"
    assert factories.everything() == before
    lost = move(api, top_up, "lost")
    assert posted(lost) == [("2100", "1020", Decimal(100))]
    assert (lost.json()["owed"], Claim.objects.count()) == ("0", 0)
    assert actions.accounts() == {}
    assert verification.verify().ok


def test_won_what_returned_meanwhile_can_be_spent(api: APIClient) -> None:
    book = factories.customer()
    top_up = buy(api, bonus=None)
    spent = factories.debit("cust_1", "100", "spent")
    move(api, top_up, "opened")
    reverse(api, spent)

    move(api, top_up, "won")

    assert factories.available(book) == 100
    assert refund(api, "100").json()["refunded"] == "100"
    assert actions.accounts() == {}


def test_what_returns_after_it_is_lost_pays_the_claim_and_is_never_refunded(
    api: APIClient,
) -> None:
    book = factories.customer()
    top_up = buy(api, bonus=None)
    spent = factories.debit("cust_1", "60", "spent")
    move(api, top_up, "opened")
    move(api, top_up, "lost")
    buy(api, "other", amount="80", bonus=None)
    assert (Claim.objects.get().paid, factories.available(book)) == (60, 20)

    reverse(api, spent)

    assert factories.available(book) == 80
    before = factories.everything()
    assert refund(api, "20.01").json()["available"] == "20"
    assert factories.everything() == before
    assert refund(api, "20").json()["refunded"] == "20"
    assert verification.verify().ok


def test_promo_never_pays_a_claim(api: APIClient) -> None:
    """60 of 100 were spent and are lost; 100 of promo stay, and the next 100 of cash keep 40."""
    book = factories.customer()
    top_up = buy(api, bonus=None)
    factories.debit("cust_1", "60", "spent")
    move(api, top_up, "opened")
    move(api, top_up, "lost")

    factories.grant("cust_1", "100")
    claim = Claim.objects.get()
    assert (claim.paid, factories.available(book)) == (0, 100)
    buy(api, "next", bonus=None)

    claim.refresh_from_db()
    assert (claim.paid, factories.available(book)) == (60, 140)
    assert refund(api, "40.01").json()["available"] == "40"
    assert refund(api, "40").json()["refunded"] == "40"
    assert verification.verify().ok


def test_cash_that_pays_for_no_usage_pays_a_claim(api: APIClient) -> None:
    book = factories.customer()
    factories.offering(billing_mode="POSTPAID")
    factories.subscription("cust_1")
    actions.rules(book, burn_order=["PROMO", "BONUS"])
    top_up = buy(api, bonus={"amount": "60"})
    factories.debit("cust_1", "40", "spent", strategy="BONUS")
    buy(api, "next", bonus=None)

    move(api, top_up, "opened")
    move(api, top_up, "lost")

    assert Claim.objects.get().paid == Claim.objects.get().amount == 25
    assert verification.verify().ok
