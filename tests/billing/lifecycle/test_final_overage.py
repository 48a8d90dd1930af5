"""Overage that comes of a promise after the last subscription has ended is billed all the same.

A token costs .002: 5,000 reserved are 10.00, of which credits cover what is there.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from billing.finance import verification
from billing.jobs import due_work
from billing.lifecycle import changes, final_overage
from billing.models import Invoice, Settlement, Subscription, SubscriptionStatus
from ledger.models import Book
from tests import factories
from tests.billing.realtime.usage_requests import capture, reserve
from tests.factories import FEBRUARY, START, advance, subscribed
from wallets.models import Debit

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)
WEEK_IN_SECONDS = 7 * 24 * 3_600


def end(at: str = "NOW") -> None:
    changes.cancel(livemode=False, subscription_id=Subscription.objects.get().pk, at=at)


def billed() -> list[tuple[str, Decimal, Decimal]]:
    """Return the documents with something on them: their lines, what credits paid, what is due."""
    return [
        ("+".join(invoice.lines.values_list("kind", flat=True)), invoice.from_wallet,
         invoice.amount_due)
        for invoice in Invoice.objects.filter(total__gt=0).order_by("created_at", "pk")
    ]  # fmt: skip


def nothing_waits() -> bool:
    return not final_overage.due_books() and not any(
        debit.open_overage for debit in Debit.objects.all()
    )


@pytest.mark.parametrize("mode", ["HYBRID", "POSTPAID"])
def test_it_is_invoiced_once(api: APIClient, mode: str) -> None:
    """Promo of 4.00 pays, 6.00 are invoiced; when it ended stays what it was."""
    book = subscribed(mode)
    factories.grant("cust_1", "4")
    held = reserve(api, 5_000).json()
    assert held["overage_expected"] == "6"
    end()
    assert capture(api, held["id"]).json()["overage"] == "6"
    ended = Subscription.objects.get()

    for minutes in (1, 2, 60 * 24 * 40):
        advance(book, START + minutes * MINUTE)

    assert billed() == [("OVERAGE", 0, 6)]
    # Credits of 6.00 are owed by the customer, and earned as overage.
    assert (factories.posted("1200"), factories.posted("4020")) == (0, -6)
    assert nothing_waits()
    now = Subscription.objects.get()
    assert now.status == SubscriptionStatus.CANCELLED
    assert (now.cancelled_at, now.cancel_at) == (ended.cancelled_at, ended.cancel_at)
    assert factories.available(book) == 0
    assert verification.verify().ok


def test_after_a_cancellation_at_the_end(api: APIClient) -> None:
    book = subscribed("HYBRID", charges=[*factories.TOKENS_AT_2_MILLS, FEE])
    advance(book, FEBRUARY - MINUTE)
    held = reserve(api, 5_000, expires_in=WEEK_IN_SECONDS - 1).json()
    end("PERIOD_END")
    advance(book, FEBRUARY + MINUTE)
    assert billed() == [("FEE", 0, 30)]
    capture(api, held["id"])

    advance(book, FEBRUARY + 2 * MINUTE)

    # The fee is not asked for again.
    assert billed() == [("FEE", 0, 30), ("OVERAGE", 0, 10)]
    assert verification.verify().ok


FEE: dict[str, Any] = {"code": "fee", "model": "FLAT_RATE", "terms": {"flat_fee": "30"}}


def test_credits_that_came_since_pay_first(api: APIClient) -> None:
    """10.00 of overage, then a top-up of 3.00: the invoice asks for 7.00."""
    book = subscribed("HYBRID")
    held = reserve(api, 5_000).json()
    end()
    capture(api, held["id"])
    factories.top_up("cust_1", "3")

    advance(book, START + MINUTE)

    assert billed() == [("OVERAGE", 3, 7)]
    assert factories.available(book) == 0
    assert verification.verify().ok


def test_a_reservation_of_credits_does_the_same(api: APIClient) -> None:
    book = subscribed("HYBRID")
    factories.top_up("cust_1", "4")
    body = {"customer_id": "cust_1", "amount": "10", "idempotency_key": "r"}
    held = api.post("/v1/wallets/reservations", body).json()
    end()
    path = f"/v1/wallets/reservations/{held['id']}/capture"
    assert api.post(path, {"idempotency_key": "c"}).json()["overage"] == "6"

    advance(book, START + MINUTE)

    assert billed() == [("OVERAGE", 0, 6)]
    assert verification.verify().ok


def test_a_new_subscription_takes_it_over(api: APIClient) -> None:
    """Nothing is billed before its own cycle ends."""
    book = subscribed("HYBRID")
    held = reserve(api, 5_000).json()
    end()
    capture(api, held["id"])
    factories.subscription("cust_1")

    advance(book, START + MINUTE)
    assert billed() == []
    advance(book, FEBRUARY)

    assert billed() == [("OVERAGE", 0, 10)]
    assert nothing_waits()
    assert verification.verify().ok


def test_usage_that_came_after_the_end_is_not_billed_with_it(api: APIClient) -> None:
    book = subscribed("HYBRID")
    held = reserve(api, 5_000).json()
    end()
    capture(api, held["id"])
    advance_to = START + MINUTE
    event = {
        "customerId": "cust_1", "metricName": "tokens", "quantity": 7, "idempotencyKey": "e",
        "occurredAt": advance_to.isoformat(),
    }  # fmt: skip
    api.post("/v1/ingest/batch", {"events": [event]})

    advance(book, advance_to)

    assert billed() == [("OVERAGE", 0, 10)]
    assert verification.verify().ok


def test_a_plan_with_grace_bills_it_after_that(api: APIClient) -> None:
    """Cancelled at once, the last cycle waits a day; the overage waits a day from then on."""
    book = subscribed("HYBRID", spec={"grace_hours": 24})
    held = reserve(api, 5_000, expires_in=WEEK_IN_SECONDS).json()
    end()
    advance(book, START + MINUTE)
    capture(api, held["id"])

    advance(book, START + timedelta(days=1, hours=1))
    assert billed() == []
    advance(book, START + timedelta(days=3))

    assert billed() == [("OVERAGE", 0, 10)]
    assert Settlement.objects.filter(status="SEALED").count() == 0
    assert verification.verify().ok


def test_the_sweep_does_it_for_customers_without_a_clock(api: APIClient) -> None:
    factories.offering(billing_mode="HYBRID")
    factories.customer()
    factories.subscription("cust_1")
    held = reserve(api, 5_000).json()
    end()
    capture(api, held["id"])
    assert final_overage.due_books() == [Book.objects.get().pk]

    for _ in range(2):
        swept = due_work.sweep(now=timezone.now(), clock=timezone.now)
        assert swept.passed_over == ()

    assert billed() == [("OVERAGE", 0, 10)]
    assert nothing_waits()
    assert verification.verify().ok
