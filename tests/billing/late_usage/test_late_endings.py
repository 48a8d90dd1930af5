"""Usage from before a pause or a cancellation that is still on its way is billed."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from billing.finance import verification
from billing.invoicing.tax_rates import create_tax_rate
from billing.lifecycle import subscribing
from billing.models import Invoice, Settlement, Subscription
from ledger.models import Book
from tests import factories
from tests.factories import FEBRUARY, MARCH, START, advance, meter
from wallets.models import CreditLot

pytestmark = pytest.mark.django_db

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
MAY = datetime(2026, 5, 1, tzinfo=START.tzinfo)
MODES = ["PREPAID", "HYBRID", "POSTPAID"]
POLICIES = ["RERATE", "NEXT_CYCLE"]


def covered(mode: str = "HYBRID", **plan: Any) -> Book:
    """Subscribe a customer; a prepaid one has cash for all that comes."""
    return factories.subscribed(mode, money="100" if mode == "PREPAID" else "", **plan)


def ask(api: APIClient, what: str, status: int = 200, **body: Any) -> dict[str, Any]:
    found = Subscription.objects.order_by("created_at").first()
    assert found is not None
    response = api.post(f"/v1/subscriptions/{found.pk}/{what}", body)
    assert response.status_code == status, response.json()
    answer: dict[str, Any] = response.json()
    return answer


def totals() -> list[Decimal]:
    found = Settlement.objects.filter(status="SETTLED").order_by("ends_at", "cycle")
    return [Decimal(str(each.totals["total"])) for each in found]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("policy", POLICIES)
def test_usage_from_before_a_pause_that_comes_in_it_is_billed_after_it(
    api: APIClient, mode: str, policy: str
) -> None:
    """1,000 x .002 of day 5 come on day 12 of a pause from day 10 to day 20: 2.00 in the next."""
    book = covered(mode, spec={"late_usage": policy})
    advance(book, START + 10 * DAY)
    ask(api, "pause")
    advance(book, START + 12 * DAY)
    meter(1_000, START + 5 * DAY)
    meter(4_000, START + 11 * DAY)
    advance(book, START + 20 * DAY)
    ask(api, "resume")
    meter(500, START + 20 * DAY)

    advance(book, FEBRUARY)

    assert totals() == [0, 3]
    advance(book, MARCH)
    assert totals() == [0, 3, 0]
    assert verification.verify().ok


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("policy", POLICIES)
def test_it_is_billed_by_the_last_settlement_where_the_pause_does_not_end(
    api: APIClient, mode: str, policy: str
) -> None:
    book = covered(mode, spec={"late_usage": policy})
    advance(book, START + 10 * DAY)
    ask(api, "pause")
    advance(book, FEBRUARY + 5 * DAY)
    meter(1_000, START + 5 * DAY)

    answer = ask(api, "cancel", at="NOW")

    assert (answer["status"], answer["cancel_at"]) == ("CANCELLED", "2026-02-06T00:00:00Z")
    assert totals() == [0, 2]
    advance(book, MAY)
    assert totals() == [0, 2]
    assert verification.verify().ok


def test_a_long_pause_forgets_nothing_that_came_in_time(api: APIClient) -> None:
    """Paused for 90 days: what came 50 days after its cycle's end is billed, on the 61st not."""
    book = covered()
    advance(book, START + 10 * DAY)
    ask(api, "pause")
    advance(book, START + 60 * DAY)
    meter(1_000, START + 5 * DAY)
    advance(book, START + 71 * DAY)
    meter(5_000, START + 6 * DAY)
    advance(book, START + 100 * DAY)
    ask(api, "resume")

    advance(book, MAY)

    assert sum(totals()) == 2


def test_a_pause_that_ends_serves_no_time_and_owes_no_fee(api: APIClient) -> None:
    """62.00 a month, 10 of 31 days: 20.00, and nothing for the pause."""
    fee = {"code": "fee", "model": "FLAT_RATE", "terms": {"flat_fee": "62"}}
    book = covered(charges=[fee, *factories.TOKENS_AT_2_MILLS], spec={"minimum_spend": "31"})
    advance(book, START + 10 * DAY)
    ask(api, "pause")
    advance(book, START + 20 * DAY)

    ask(api, "cancel", at="NOW")

    assert totals() == [20, 0]
    assert Invoice.objects.count() == 1


@pytest.mark.parametrize("mode", MODES)
def test_cancelled_now_waits_for_usage_that_is_on_its_way(api: APIClient, mode: str) -> None:
    """Cancelled on day 10 with 24 hours of grace: 1,000 tokens come in time, 4,000 do not."""
    book = covered(mode, spec={"grace_hours": 24})
    advance(book, START + 10 * DAY)
    meter(500, START + DAY)

    answer = ask(api, "cancel", at="NOW")

    assert (answer["status"], answer["cancel_at"]) == ("CANCELLED", "2026-01-11T00:00:00Z")
    assert totals() == []
    advance(book, START + 10 * DAY + 23 * HOUR)
    meter(1_000, START + 9 * DAY)
    meter(2_000, START + 10 * DAY + HOUR)
    assert totals() == []
    advance(book, START + 11 * DAY)
    assert totals() == [3]
    meter(4_000, START + 8 * DAY)
    advance(book, MARCH)
    assert totals() == [3]
    assert verification.verify().ok


def test_in_the_grace_nothing_is_spent_under_the_subscription(api: APIClient) -> None:
    """No usage in real time, no overage, none of the plan's credits; what was bought stays."""
    grant = {"kind": "PROMO", "amount": Decimal(50), "recurrence": "EVERY_CYCLE"}
    book = covered(spec={"grace_hours": 24}, grants=[grant])
    factories.top_up("cust_1", "5")
    advance(book, START + 10 * DAY)
    meter(500, START + DAY)
    ask(api, "cancel", at="NOW")
    usage = {"customer_id": "cust_1", "metric": "tokens", "quantity": "1", "idempotency_key": "u1"}
    # Whoever comes first, the credits pay for what was metered before; that is a job's doing.
    api.post("/v1/usage/debit", usage)
    before = factories.everything()

    refused = api.post("/v1/usage/debit", usage)

    assert (refused.status_code, refused.json()["code"]) == (409, "no_subscription")
    assert factories.refusal(factories.debit("cust_1", "6")).code == "insufficient_funds"
    assert factories.everything() == before
    factories.body(factories.debit("cust_1", "2"))
    advance(book, START + 11 * DAY)
    # The plan's credits paid for the usage of their time, and then lapsed.
    assert {lot.source: lot.remaining for lot in CreditLot.objects.all()} == {
        "PLAN": 0,
        "TOP_UP": 3,
    }
    assert totals() == [1]
    assert verification.verify().ok


def test_late_usage_of_an_earlier_cycle_comes_in_the_grace_too(api: APIClient) -> None:
    """1,000 of January come 12 hours after the cancellation of 10 February, at January's rate."""
    create_tax_rate(livemode=False, name="VAT", country="ES", percent=Decimal(20), now=START)
    create_tax_rate(livemode=False, name="VAT+", country="ES", percent=Decimal(50), now=FEBRUARY)
    book = covered(spec={"grace_hours": 24})
    book.customer.country = "ES"
    book.customer.save(update_fields=["country"])
    advance(book, FEBRUARY + 10 * DAY)
    ask(api, "cancel", at="NOW")
    advance(book, FEBRUARY + 10 * DAY + 12 * HOUR)
    meter(1_000, START)

    advance(book, FEBRUARY + 11 * DAY)

    assert totals() == [0, Decimal("2.4")]


def test_a_successor_in_the_grace_counts_its_own_usage_alone(api: APIClient) -> None:
    book = covered(spec={"grace_hours": 24})
    advance(book, START + 10 * DAY)
    ask(api, "cancel", at="NOW")
    subscribing.subscribe(livemode=False, customer_id="cust_1", offering="tokens_monthly")
    meter(7_000, START + 10 * DAY)
    advance(book, START + 10 * DAY + 12 * HOUR)
    meter(1_000, START + 9 * DAY)
    meter(2_000, START + 10 * DAY + HOUR)

    advance(book, MARCH)

    assert totals() == [2, 18]
    assert verification.verify().ok


@pytest.mark.parametrize("days", [0, 10])
def test_a_pause_that_is_cancelled_waits_too(api: APIClient, days: int) -> None:
    book = covered(spec={"grace_hours": 24})
    advance(book, START + 10 * DAY)
    ask(api, "pause")
    cancelled_at = START + (10 + days) * DAY
    advance(book, cancelled_at)
    ask(api, "cancel", at="NOW")
    advance(book, cancelled_at + 12 * HOUR)
    meter(1_000, START + 5 * DAY)
    meter(9_000, cancelled_at + HOUR)

    advance(book, cancelled_at + DAY)

    assert totals() == [0, 2]
    assert verification.verify().ok
