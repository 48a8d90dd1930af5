"""Contested payments: frozen, given back, or taken away and claimed (docs/decisions.md#d31)."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from rest_framework.test import APIClient

from aforo.webhooks.models import OutboxEvent
from billing.finance import verification
from billing.jobs import test_clocks
from billing.models import Claim, Subscription
from ledger.models import Posting
from tests import factories
from tests.wallets import actions
from wallets import statements
from wallets.models import AutoRefill, CreditLot, TopUp, Wallet
from wallets.top_ups import refill

pytestmark = pytest.mark.django_db


def buy(api: APIClient, key: str = "t", **changes: Any) -> str:
    body = {"customer_id": "cust_1", "amount": "100", "currency": "USD", "idempotency_key": key}
    asked = body | {"bonus": {"amount": "20"}} | changes
    answer = api.post(
        "/v1/wallets/top-ups", {name: value for name, value in asked.items() if value is not None}
    )
    assert answer.status_code in {201, 202}, answer.content
    made: str = answer.json()["id"]
    return made


def move(api: APIClient, top_up: str, state: str, key: str = "") -> Any:
    return api.post(
        f"/v1/wallets/top-ups/{top_up}/dispute",
        {"state": state, "idempotency_key": key or f"dispute-{state}"},
    )


def posted(answer: Any) -> list[tuple[str, str, Decimal]]:
    found = Posting.objects.filter(entry=answer.json()["entry"]).order_by("position")
    return list(found.values_list("debit_id", "credit_id", "amount"))


def test_an_open_dispute_freezes_what_it_bought_and_nothing_else(api: APIClient) -> None:
    factories.customer()
    top_up = buy(api)
    buy(api, "other", amount="7", bonus={"amount": "1"})
    factories.debit("cust_1", "12", "before")

    opened = move(api, top_up, "opened")

    assert (opened.status_code, opened.json()["disputed"]) == (200, "100")
    assert posted(opened) == [("1020", "1010", Decimal(100))]
    wallet = api.get("/v1/wallets/cust_1").json()["wallets"][0]
    assert wallet["available"] == "8"
    refused = factories.refusal(factories.debit("cust_1", "8.01"))
    assert refused.extra["available"] == "8"
    factories.body(factories.debit("cust_1", "8"))
    assert verification.verify().ok


def test_a_dispute_that_is_won_gives_it_back(api: APIClient) -> None:
    book = factories.customer()
    top_up = buy(api)
    move(api, top_up, "opened")

    won = move(api, top_up, "won")

    assert posted(won) == [("1010", "1020", Decimal(100))]
    assert won.json()["owed"] == "0"
    factories.body(factories.debit("cust_1", "120"))
    assert factories.available(book) == 0
    assert Claim.objects.count() == 0
    assert verification.verify().ok


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


def test_what_was_refunded_before_is_not_contested(api: APIClient) -> None:
    factories.customer()
    top_up = buy(api)
    api.post(
        "/v1/wallets/refunds",
        {"customer_id": "cust_1", "amount": "50", "currency": "USD", "reason": "unused",
         "idempotency_key": "r"},
    )  # fmt: skip

    opened = move(api, top_up, "opened")
    lost = move(api, top_up, "lost")

    assert opened.json()["disputed"] == "50"
    assert lost.json()["owed"] == "0"
    assert Claim.objects.count() == 0
    assert verification.verify().ok


def refund(api: APIClient, amount: str) -> Any:
    return api.post(
        "/v1/wallets/refunds",
        {"customer_id": "cust_1", "amount": amount, "currency": "USD", "reason": "unused",
         "idempotency_key": f"refund-{amount}"},
    )  # fmt: skip


def reverse(api: APIClient, debit: Any) -> None:
    done = api.post(
        f"/v1/wallets/debits/{factories.body(debit)['id']}/reverse",
        {"reason": "test", "idempotency_key": "reverse"},
    )
    assert done.status_code == 200


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


@pytest.mark.parametrize(
    ("burned", "amount", "paid", "disputed", "owed"),
    [
        # All bonus is burned: 50 of 100 cash carry 41.6666.., so 41.67 is paid, 58.33 contested.
        ("20", "50", "41.67", "58.33", "16.666666666667"),
        # 15 of it: 5 more are taken back, 45.8333.. in all: 45.83 is paid.
        ("15", "50", "45.83", "54.17", "12.5"),
        ("20", "10", "8.33", "91.67", "16.666666666667"),
    ],
)
@pytest.mark.parametrize("end", ["won", "lost"])
def test_what_is_contested_can_be_paid_and_no_account_of_cash_keeps_a_fraction(
    api: APIClient, burned: str, amount: str, paid: str, disputed: str, owed: str, end: str
) -> None:
    factories.customer()
    top_up = buy(api)
    factories.debit("cust_1", burned, "spent", strategy="BONUS")
    assert refund(api, amount).json()["refunded"] == paid

    opened = move(api, top_up, "opened")
    ended = move(api, top_up, end)

    assert opened.json()["disputed"] == disputed
    accounts = actions.accounts()
    assert "1020" not in accounts
    if end == "lost":
        assert ended.json()["owed"] == owed
        assert "1010" not in accounts
        assert "7900" not in accounts
    else:
        assert accounts["1010"] == Decimal(disputed)
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


def test_as_of_shows_what_was_frozen_then(api: APIClient) -> None:
    book = factories.clocked_customer()
    top_up = buy(api, bonus=None)
    spent = factories.debit("cust_1", "60", "spent")

    def at(day: int) -> Any:
        moment = factories.START + timedelta(days=day, hours=1)
        fresh = type(book).objects.get(pk=book.pk)
        shown: Any = statements.statement_as_of(book=fresh, moment=moment)
        (wallet,) = shown["wallets"]
        return Decimal(wallet["available"]), [lot["frozen_at"] for lot in shown["lots"]]

    actions.set_clock(factories.START + timedelta(days=1))
    move(api, top_up, "opened")
    actions.set_clock(factories.START + timedelta(days=2))
    reverse(api, spent)
    actions.set_clock(factories.START + timedelta(days=3))

    opened_at = factories.START + timedelta(days=1)
    assert [at(day) for day in (0, 1, 2)] == [(40, [None]), (0, [opened_at]), (0, [opened_at])]
    move(api, top_up, "won")
    assert [at(day) for day in (0, 1, 2, 3)] == [
        (40, [None]), (0, [opened_at]), (0, [opened_at]), (100, [None]),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"refunded": Decimal("100.01")},
        {"refunded": Decimal("0.001")},
        {"refunded": Decimal(-1)},
        {"disputed": Decimal("0.001"), "dispute": "opened"},
        {"disputed": Decimal(60), "refunded": Decimal(41), "dispute": "lost"},
    ],
)
def test_the_database_pays_back_no_more_than_was_paid(
    api: APIClient, changes: dict[str, Any]
) -> None:
    factories.customer()
    buy(api)

    with pytest.raises(IntegrityError, match="wallets_topup_paid_back"), transaction.atomic():
        TopUp.objects.update(**changes)


def test_a_frozen_lot_does_not_lapse_before_the_dispute_is_over(api: APIClient) -> None:
    book = factories.clocked_customer()
    expiry = factories.START + timedelta(days=3)
    top_up = buy(api, expires_at=expiry.isoformat())
    move(api, top_up, "opened")
    assert book.test_clock is not None

    def advance(days: int) -> None:
        assert book.test_clock is not None
        to = factories.START + timedelta(days=days)
        test_clocks.advance(clock_id=book.test_clock.pk, livemode=False, to=to)

    advance(5)
    assert factories.available(book) == 120
    move(api, top_up, "won")
    advance(6)
    assert factories.available(book) == 0
    assert verification.verify().ok


def test_an_open_dispute_stops_automatic_payments(api: APIClient) -> None:
    book = factories.customer()
    top_up = buy(api)
    api.put(
        "/v1/wallets/cust_1/auto-refill",
        {"currency": "USD", "threshold": "20", "amount": "50", "enabled": True},
    )

    move(api, top_up, "opened")

    assert AutoRefill.objects.get().switched_off_at is not None
    assert refill.refill_if_low([book.pk]) == 0


def test_each_step_is_told_of_and_replayed(api: APIClient) -> None:
    factories.customer()
    top_up = buy(api)
    first = move(api, top_up, "opened")
    before = factories.everything()

    again = move(api, top_up, "opened")

    assert (again.content, again["Idempotency-Replayed"]) == (first.content, "true")
    assert factories.everything() == before
    told = OutboxEvent.objects.filter(type="top_up.disputed")
    assert [event.payload["state"] for event in told] == ["opened"]


@pytest.mark.parametrize(
    ("steps", "state"),
    [
        ([], "won"),
        ([], "lost"),
        (["opened"], "opened"),
        (["opened", "won"], "lost"),
        (["opened", "lost"], "won"),
    ],
)
def test_a_step_out_of_order_changes_nothing(api: APIClient, steps: list[str], state: str) -> None:
    factories.customer()
    top_up = buy(api)
    for step in steps:
        assert move(api, top_up, step).status_code == 200
    before = factories.everything()

    refused = move(api, top_up, state, "out of order")

    assert (refused.status_code, refused.json()["code"]) == (409, "dispute_state")
    assert factories.everything() == before


def test_what_was_never_paid_cannot_be_disputed(api: APIClient) -> None:
    factories.clocked_customer()
    top_up = buy(api, payment={"method": "test_delayed"})
    before = factories.everything()

    refused = move(api, top_up, "opened")

    assert (refused.status_code, refused.json()["code"]) == (409, "not_disputable")
    assert factories.everything() == before
    assert TopUp.objects.get().dispute == ""


@pytest.mark.parametrize(
    ("body", "status"),
    [({"state": "lost"}, 422), ({"state": "maybe", "idempotency_key": "k"}, 422), ({}, 422)],
)
def test_a_bad_dispute(api: APIClient, body: dict[str, Any], status: int) -> None:
    factories.customer()
    top_up = buy(api)
    before = factories.everything()

    answer = api.post(f"/v1/wallets/top-ups/{top_up}/dispute", body)

    assert answer.status_code == status
    assert factories.everything() == before


def test_another_modes_top_up_is_unknown(api: APIClient, live_api: APIClient) -> None:
    factories.customer()
    top_up = buy(api)

    assert move(live_api, top_up, "opened").status_code == 404
    assert CreditLot.objects.filter(frozen_at__isnull=False).count() == 0
