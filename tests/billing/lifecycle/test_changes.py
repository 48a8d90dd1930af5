"""Subscriptions end, pause and go on: what is served is owed by time, and nothing twice."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from billing.finance import verification
from billing.models import AdvanceFee, Invoice, Settlement, Subscription
from ledger.reports import trial_balance
from tests import factories
from tests.factories import FEBRUARY, MARCH, START, advance, meter, subscribed
from wallets.models import CreditLot, Wallet

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
APRIL = datetime(2026, 4, 1, tzinfo=START.tzinfo)
CHARGES: list[dict[str, Any]] = [
    {"code": "fee", "model": "FLAT_RATE", "terms": {"flat_fee": "62"}},
    *factories.TOKENS_AT_2_MILLS,
]
AHEAD: list[dict[str, Any]] = [
    {"code": "fee", "model": "FLAT_RATE", "terms": {"flat_fee": "31"}, "timing": "ADVANCE"},
    *factories.TOKENS_AT_2_MILLS,
]
GRANT: dict[str, Any] = {
    "kind": "PROMO", "amount": Decimal(1), "recurrence": "EVERY_CYCLE",
}  # fmt: skip


def ask(api: APIClient, what: str, status: int = 200, **body: Any) -> dict[str, Any]:
    found = Subscription.objects.get()
    response = api.post(f"/v1/subscriptions/{found.pk}/{what}", body)
    assert response.status_code == status, response.json()
    answer: dict[str, Any] = response.json()
    return answer


def totals() -> list[tuple[str, str]]:
    return [(s.kind, s.totals["total"]) for s in Settlement.objects.order_by("sealed_at", "cycle")]


def balances() -> dict[str, Decimal]:
    return {row.account: row.balance for row in trial_balance(livemode=False) if row.balance}


def test_cancelled_now_owes_the_time_served(api: APIClient) -> None:
    """15 of 31 days: 62 -> 30, and 1,000 x .002, also what was metered at this very moment."""
    book = subscribed(charges=CHARGES)
    factories.top_up("cust_1", "5")
    advance(book, START + 15 * DAY)
    meter(1_000, START + 15 * DAY)

    assert ask(api, "cancel", at="NOW")["status"] == "CANCELLED"

    assert totals() == [("CYCLE", "32")]
    assert Invoice.objects.get().amount_due == 27
    wallet = Wallet.objects.get()
    assert (wallet.billing_mode, wallet.spend_state) == ("PREPAID", "ACTIVE")
    advance(book, MARCH)
    assert totals() == [("CYCLE", "32")]
    assert verification.verify().ok


def test_credits_of_the_plan_lapse_with_it_and_bought_ones_stay(api: APIClient) -> None:
    book = subscribed(charges=factories.TOKENS_AT_2_MILLS, grants=[GRANT])
    factories.top_up("cust_1", "5")
    advance(book, START + DAY)

    ask(api, "cancel", at="NOW")

    assert {lot.source: lot.remaining for lot in CreditLot.objects.all()} == {
        "PLAN": 0,
        "TOP_UP": 5,
    }
    assert verification.verify().ok


def test_cancelled_at_the_periods_end_runs_until_then(api: APIClient) -> None:
    book = subscribed(charges=AHEAD)
    advance(book, START + DAY)

    answer = ask(api, "cancel", at="PERIOD_END")

    assert (answer["status"], answer["cancel_at"]) == ("ACTIVE", "2026-02-01T00:00:00Z")
    meter(1_000, START + DAY)
    advance(book, MARCH)
    assert Subscription.objects.get().status == "CANCELLED"
    assert totals() == [("OPENING", "31"), ("CYCLE", "2")]
    assert balances() == {"1100": 33, "4020": 2, "4030": 31}


def test_a_fee_paid_in_advance_is_earned_when_the_subscription_ends(api: APIClient) -> None:
    book = subscribed(charges=AHEAD)
    advance(book, START + 10 * DAY)
    assert balances() == {"1100": 31, "2120": 21, "4030": 10}

    ask(api, "cancel", at="NOW")

    assert balances() == {"1100": 31, "4030": 31}
    fee = AdvanceFee.objects.get()
    assert fee.recognised == fee.amount
    assert verification.verify().ok


def test_a_pause_within_a_period_bills_both_parts_and_gives_nothing_twice(api: APIClient) -> None:
    """10 of 31 days: 20.00; 11 of 31 days: 22.00; what was metered in between is nobody's."""
    book = subscribed(charges=CHARGES, grants=[GRANT], mode="POSTPAID")
    advance(book, START + 10 * DAY)

    assert ask(api, "pause")["status"] == "PAUSED"

    assert factories.refusal(factories.debit("cust_1", "1")).code == "paused"
    advance(book, START + 15 * DAY)
    meter(1_000, START + 15 * DAY)
    advance(book, START + 20 * DAY)
    answer = ask(api, "resume")
    assert answer["status"] == "ACTIVE"
    assert answer["current_period"]["ends_at"] == "2026-02-01T00:00:00Z"
    assert CreditLot.objects.filter(source="PLAN").count() == 1
    advance(book, FEBRUARY)

    assert totals() == [("CYCLE", "20"), ("CYCLE", "22")]
    found = Subscription.objects.get()
    assert (found.current_starts_at, found.current_ends_at) == (FEBRUARY, MARCH)
    assert verification.verify().ok


def test_a_pause_over_periods_asks_for_the_fees_that_are_left(api: APIClient) -> None:
    """Paused on day 10, resumed on 11 March: 21 of 31 days of 31.00; anniversaries stay."""
    book = subscribed(charges=AHEAD, grants=[GRANT])
    factories.grant("cust_1", "2", expires_at=FEBRUARY, name="lapses while paused")
    advance(book, START + 10 * DAY)
    ask(api, "pause")
    advance(book, MARCH + 10 * DAY)
    assert totals() == [("OPENING", "31"), ("CYCLE", "0")]
    assert CreditLot.objects.get(source="MANUAL").remaining == 0

    assert ask(api, "resume")["status"] == "ACTIVE"

    assert CreditLot.objects.filter(source="PLAN").count() == 2
    advance(book, APRIL)
    assert totals() == [("OPENING", "31"), ("CYCLE", "0"), ("OPENING", "21"), ("CYCLE", "31")]
    assert verification.verify().ok


def test_prepaid_resumes_when_its_credits_cover_the_fee(api: APIClient) -> None:
    factories.offering(charges=AHEAD, billing_mode="PREPAID")
    book = factories.clocked_customer()
    factories.top_up("cust_1", "31")
    factories.subscription("cust_1")
    advance(book, START + 10 * DAY)
    ask(api, "pause")
    advance(book, MARCH + 10 * DAY)

    assert ask(api, "resume")["status"] == "SUSPENDED"
    factories.top_up("cust_1", "25")

    assert Subscription.objects.get().status == "ACTIVE"
    assert factories.available(book) == 4


@pytest.mark.parametrize(
    ("before", "what", "body", "code"),
    [
        ("cancel", "cancel", {"at": "NOW"}, "already_cancelled"),
        ("cancel", "pause", {}, "not_active"),
        ("pause", "pause", {}, "not_active"),
        ("", "resume", {}, "not_paused"),
        ("cancel", "resume", {}, "not_paused"),
    ],
)
def test_what_a_state_does_not_allow(
    api: APIClient, before: str, what: str, body: dict[str, Any], code: str
) -> None:
    book = subscribed(charges=CHARGES)
    advance(book, START + DAY)
    if before == "cancel":
        ask(api, "cancel", at="NOW")
    elif before:
        ask(api, before)
    state, made = factories.everything(), Settlement.objects.count()

    assert ask(api, what, 409, **body)["code"] == code

    assert (factories.everything(), Settlement.objects.count()) == (state, made)


def test_bad_requests(api: APIClient) -> None:
    subscribed(charges=CHARGES)
    before = factories.everything()

    assert ask(api, "cancel", 422, at="SOMEDAY")["errors"][0]["pointer"] == "/at"
    assert ask(api, "cancel", 422)["errors"][0]["code"] == "required"
    assert ask(api, "pause", 422, why="holidays")["errors"][0]["pointer"] == "/why"
    unknown = "/v1/subscriptions/00000000-0000-0000-0000-000000000000/pause"
    assert api.post(unknown, {}).status_code == 404

    assert factories.everything() == before
    assert Subscription.objects.get().status == "ACTIVE"


def test_what_waits_or_is_paused_can_be_cancelled(api: APIClient) -> None:
    subscribed(charges=AHEAD, mode="PREPAID")
    assert Subscription.objects.get().status == "CREATED"

    assert ask(api, "cancel", at="PERIOD_END")["status"] == "CANCELLED"

    factories.top_up("cust_1", "50")
    assert Subscription.objects.get().status == "CANCELLED"
    assert not Settlement.objects.exists()
