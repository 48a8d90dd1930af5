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
from billing.models import Claim
from tests import factories
from tests.wallets import actions
from tests.wallets.top_ups.disputes import buy, move, posted, refund, reverse
from wallets import statements
from wallets.models import AutoRefill, CreditLot, TopUp
from wallets.top_ups import refill

pytestmark = pytest.mark.django_db


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
