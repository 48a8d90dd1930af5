"""Disputes as gateways tell of them: in whole and in part, with their fee, in any order."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from rest_framework.test import APIClient

from billing.finance import verification
from billing.models import Claim
from ledger.models import Entry, LedgerEvent
from tests import factories
from tests.wallets import actions
from tests.wallets.top_ups.disputes import buy, move
from wallets.models import TopUp
from wallets.top_ups import gateway_disputes, gateway_work
from wallets.top_ups.gateway import DisputeNotice

pytestmark = pytest.mark.django_db
D = Decimal
MINUTE = timedelta(minutes=1)
OPENED = DisputeNotice("opened", D(50), D(15))
WON = DisputeNotice("won", fee=D(0))
LOST = DisputeNotice("lost", D(50), D(15))


@pytest.mark.parametrize(
    ("method", "disputed", "state", "accounts", "claimed"),
    [
        # 100 bought, 60 spent; a minute later it is opened, after another one it ends.
        ("test_disputed", 100, "opened", {"1010": -15, "1020": 100, "6300": 15}, 0),
        ("test_disputed_half", 50, "opened", {"1010": 35, "1020": 50, "6300": 15}, 0),
        ("test_disputed_won", 100, "won", {"1010": 100}, 0),
        ("test_disputed_half_won", 50, "won", {"1010": 100}, 0),
        ("test_disputed_lost", 100, "lost", {"1010": -15, "4940": 60, "6300": 15}, 60),
        ("test_disputed_half_lost", 50, "lost", {"1010": 35, "4940": 10, "6300": 15}, 10),
    ],
)
def test_the_sandbox_disputes_by_the_method_s_name(
    api: APIClient, method: str, disputed: int, state: str, accounts: dict[str, int], claimed: int
) -> None:
    book = factories.clocked_customer()
    buy(api, bonus=None, payment={"method": method})
    factories.debit("cust_1", "60", "spent")

    factories.advance(book, factories.START + MINUTE)
    assert TopUp.objects.get().dispute == "opened"
    factories.advance(book, factories.START + 2 * MINUTE)

    found = TopUp.objects.get()
    assert (found.dispute, found.disputed) == (state, disputed)
    posted = {
        name: value for name, value in actions.accounts().items() if name not in {"2100", "4000"}
    }
    assert posted == accounts
    assert sum(claim.amount for claim in Claim.objects.all()) == claimed
    assert gateway_work.ask() == 0
    assert verification.verify().ok


@pytest.mark.parametrize(
    ("told", "news", "state"),
    [
        ([OPENED, OPENED], [True, False], "opened"),
        ([OPENED, LOST, LOST, OPENED], [True, True, False, False], "lost"),
        ([OPENED, WON, OPENED, WON], [True, True, False, False], "won"),
        # The end comes before the beginning.
        ([LOST, OPENED], [True, False], "lost"),
        ([WON, OPENED], [True, False], "won"),
        # What ended stays ended.
        ([OPENED, WON, LOST], [True, True, False], "won"),
    ],
)
def test_notices_come_in_any_order_and_more_than_once(
    api: APIClient, told: list[DisputeNotice], news: list[bool], state: str
) -> None:
    factories.customer()
    top_up = UUID(buy(api, bonus=None))

    heard = [
        gateway_disputes.receive(livemode=False, top_up_id=top_up, notice=notice) for notice in told
    ]

    assert heard == news
    assert TopUp.objects.get().dispute == state
    ended = state != "opened"
    assert Entry.objects.filter(event=LedgerEvent.DISPUTE).count() == 1 + ended
    assert "1020" not in actions.accounts() or not ended
    assert verification.verify().ok


def test_what_was_recorded_by_hand_is_no_news(api: APIClient) -> None:
    factories.customer()
    top_up = buy(api, bonus=None)
    move(api, top_up, "opened")
    before = factories.everything()

    assert not gateway_disputes.receive(livemode=False, top_up_id=UUID(top_up), notice=OPENED)

    assert factories.everything() == before


def test_a_payment_of_the_sandbox_that_was_refunded_is_not_contested(api: APIClient) -> None:
    book = factories.clocked_customer()
    buy(api, bonus=None, payment={"method": "test_disputed"})
    refund: Any = api.post(
        "/v1/wallets/refunds",
        {"customer_id": "cust_1", "amount": "100", "currency": "USD", "reason": "unused",
         "idempotency_key": "refund"},
    )  # fmt: skip
    assert refund.status_code == 201

    factories.advance(book, factories.START + 5 * MINUTE)

    assert TopUp.objects.get().dispute == ""
    assert verification.verify().ok
