"""Subscriptions that end, pause or begin to be paid for at the end of a cycle."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from rest_framework.test import APIClient

from billing.finance import verification
from billing.lifecycle import changes, subscribing
from billing.models import Invoice, Settlement, Subscription
from ledger.models import Book
from pricing.offerings import coupons
from tests import factories
from tests.billing.cycle_end.renewals import FEE_30, HOUR, D, ask, lots, subscribed
from tests.factories import FEBRUARY, MARCH, START, advance, meter, set_clock
from wallets.lots import provisioning
from wallets.models import Wallet

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("grace", [0, 24])
def test_a_subscription_that_ends_with_its_cycle_is_over_then(api: APIClient, grace: int) -> None:
    """No credits, no overage: the customer is as without it, though late usage is still billed."""
    book = subscribed("HYBRID", grace)
    subscription = Subscription.objects.get()
    changes.cancel(livemode=False, subscription_id=subscription.pk, at="PERIOD_END")
    set_clock(book, FEBRUARY)

    refused = ask(api, "debit")

    assert (refused.status_code, refused.json()["code"]) == (402, "insufficient_funds")
    subscription.refresh_from_db()
    assert (subscription.status, subscription.cancelled_at) == ("CANCELLED", FEBRUARY)
    if grace:
        meter(5_000, START)
        advance(book, FEBRUARY + 24 * HOUR)
        assert Settlement.objects.get().totals["total"] == "10"
        assert Subscription.objects.get().status == "CANCELLED"
    assert [left for _, left, *_ in lots(book)] == [0]
    assert verification.verify().ok


def test_a_pause_during_grace_settles_what_waits_first(api: APIClient) -> None:
    book = subscribed("HYBRID", 24)
    meter(5_000, START)
    set_clock(book, FEBRUARY + HOUR)
    path = f"/v1/subscriptions/{Subscription.objects.get().pk}/pause"

    paused = api.post(path)

    assert paused.json()["status"] == "PAUSED", paused.content
    assert list(Settlement.objects.order_by("cycle").values_list("cycle", "status")) == [
        (0, "SETTLED"), (1, "SETTLED"),
    ]  # fmt: skip
    assert verification.verify().ok


def _moments(book: Book) -> set[datetime | None]:
    return {
        *Wallet.objects.filter(book=book).values_list("renews_at", flat=True),
        *book.unit_wallets.values_list("renews_at", flat=True),
    }


@pytest.mark.parametrize("change", ["pause", "cancel", "advance"])
def test_wallets_say_when_the_customer_renews(change: str) -> None:
    book = subscribed("HYBRID")
    subscription = Subscription.objects.get()
    assert _moments(book) == {FEBRUARY}
    match change:
        case "pause":
            changes.pause(livemode=False, subscription_id=subscription.pk)
        case "cancel":
            changes.cancel(livemode=False, subscription_id=subscription.pk, at="NOW")
        case "advance":
            advance(book, FEBRUARY)
    provisioning.money_wallet(book=book, currency="EUR")

    expected: set[datetime | None] = {MARCH if change == "advance" else None}
    assert _moments(book) == expected


@pytest.mark.parametrize("grace", [0, 24])
@pytest.mark.parametrize("change", ["pause", "cancel"])
def test_a_change_after_the_end_is_of_the_next_cycle(
    api: APIClient, change: str, grace: int
) -> None:
    """An hour into February nobody has settled January; the change settles both, in order, or when
    it cancels, after the grace of each.
    """
    book = subscribed("HYBRID", grace)
    meter(5_000, START)
    set_clock(book, FEBRUARY + HOUR)
    path = f"/v1/subscriptions/{Subscription.objects.get().pk}/{change}"

    changed = api.post(path, {"at": "NOW"} if change == "cancel" else {})

    assert changed.status_code == 200, changed.content
    if grace and change == "cancel":
        advance(book, FEBRUARY + 25 * HOUR)
    done = Settlement.objects.order_by("cycle").values_list("cycle", "status", "starts_at")
    assert list(done) == [(0, "SETTLED", START), (1, "SETTLED", FEBRUARY)]
    assert Settlement.objects.get(cycle=0).totals["total"] == "10"
    assert verification.verify().ok


@pytest.mark.parametrize("grace", [0, 24])
def test_a_trial_is_followed_by_the_first_paid_cycle_at_its_very_end(
    api: APIClient, grace: int
) -> None:
    book = subscribed("HYBRID", grace, trial_days=14)
    set_clock(book, START + timedelta(days=14))

    assert ask(api, "debit").json()["balance"]["available"] == "40"

    current = Subscription.objects.get()
    assert (current.status, current.cycle) == ("ACTIVE", 1)


@pytest.mark.parametrize("grace", [0, 24])
def test_a_fixed_coupon_is_taken_once_a_period_on_however_many_documents(grace: int) -> None:
    """30.00 ahead and 10.00 of usage, 10.00 off: 20.00 at the start, 30.00 when January is over."""
    coupons.create_coupon(
        livemode=False, code="TEN", type="FIXED", value=D(10), currency="USD", duration="FOREVER"
    )
    factories.offering(charges=[FEE_30, *factories.TOKENS_AT_2_MILLS], spec={"grace_hours": grace})
    book = factories.clocked_customer()
    subscribing.subscribe(
        livemode=False, customer_id="cust_1", offering="tokens_monthly", coupon="TEN"
    )
    meter(5_000, START)

    advance(book, FEBRUARY + 24 * HOUR)

    due_amounts = sorted(invoice.amount_due for invoice in Invoice.objects.all())
    assert due_amounts == ([10, 20, 20] if grace else [20, 30])
