"""A start that lies ahead: until then nothing runs, and whoever comes first begins it then."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from billing.finance import verification
from billing.jobs import due_work
from billing.models import Invoice, Settlement, Subscription, SubscriptionMove
from ledger.models import Book, Entry
from tests import factories
from tests.factories import FEBRUARY, START, advance, meter
from wallets.models import CreditLot

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
LATER = START + 10 * DAY
PLAN: dict[str, Any] = {
    "charges": [
        {"code": "fee", "model": "FLAT_RATE", "terms": {"flat_fee": "31"}, "timing": "ADVANCE"},
        {"code": "tokens", "model": "PER_UNIT", "metric": "tokens", "terms": {"unit_price": "1"}},
    ],
    "grants": [{"code": "gift", "kind": "PROMO", "amount": Decimal(5),
                "recurrence": "EVERY_CYCLE", "expires_at_cycle_end": True}],
}  # fmt: skip


def waiting(mode: str = "HYBRID", **terms: Any) -> Book:
    factories.offering(billing_mode=mode, **PLAN, **terms)
    book = factories.clocked_customer()
    found = factories.subscription("cust_1", starts_at=LATER)
    assert found.status == "CREATED"
    return book


def found() -> Subscription:
    return Subscription.objects.get()


def steps() -> list[tuple[str, Any]]:
    return list(SubscriptionMove.objects.order_by("pk").values_list("to_status", "occurred_at"))


def test_until_then_nothing_runs_and_the_clock_begins_it_at_its_moment() -> None:
    """7 tokens before are nobody's; of 9 after, the gift pays 5, 4 are billed with the next fee."""
    book = waiting()
    advance(book, START + DAY)
    meter(7, START + DAY, "before")
    assert (Settlement.objects.count(), CreditLot.objects.count()) == (0, 0)
    advance(book, LATER - DAY)
    assert found().status == "CREATED"

    advance(book, LATER + DAY)

    assert found().status == "ACTIVE"
    # The anchor is the start.
    assert (found().current_starts_at, found().current_ends_at) == (
        LATER, LATER + 31 * DAY,
    )  # fmt: skip
    assert steps() == [("CREATED", START), ("ACTIVE", LATER)]
    assert CreditLot.objects.get().granted_at == LATER
    assert [each.occurred_at for each in Entry.objects.filter(event="SETTLEMENT")] == [LATER]
    assert list(Invoice.objects.values_list("total", flat=True)) == [31]
    meter(9, LATER + DAY, "after")
    advance(book, LATER + 31 * DAY)
    assert [each.totals["total"] for each in Settlement.objects.order_by("sealed_at")] == [
        "31", "40",
    ]  # fmt: skip
    assert verification.verify().ok


def test_the_request_that_comes_first_begins_it() -> None:
    book = waiting()
    factories.set_clock(book, LATER + DAY)

    answer = factories.use("cust_1", Decimal(3), "first")

    assert answer.status == 200
    assert steps() == [("CREATED", START), ("ACTIVE", LATER)]
    assert CreditLot.objects.get().remaining == 2
    assert verification.verify().ok


def test_a_run_begins_it_once() -> None:
    book = waiting()
    factories.set_clock(book, LATER)

    for _ in range(2):
        due_work.settle(livemode=False, as_of=None, customer_id="cust_1", clock=timezone.now)

    assert steps() == [("CREATED", START), ("ACTIVE", LATER)]
    assert Settlement.objects.count() == 1


def test_a_trial_begins_then() -> None:
    book = waiting(trial_days=5)

    advance(book, LATER + DAY)
    assert found().status == "TRIALING"
    advance(book, LATER + 6 * DAY)

    assert steps() == [
        ("CREATED", START), ("TRIALING", LATER), ("ACTIVE", LATER + 5 * DAY),
    ]  # fmt: skip


@pytest.mark.parametrize("money", ["100", "20"])
def test_prepaid_credits_pay_its_fees_when_it_starts_and_not_before(money: str) -> None:
    """Without 31 it waits for them, and starts when they come."""
    book = waiting("PREPAID")
    advance(book, START + DAY)
    factories.top_up("cust_1", money)
    assert (found().status, factories.available(book)) == ("CREATED", Decimal(money))

    advance(book, LATER + DAY)

    if money == "100":
        assert (found().status, found().starts_at) == ("ACTIVE", LATER)
        assert factories.available(book) == 100 - 31 + 5
    else:
        assert (found().status, found().is_fee_due) == ("CREATED", True)
        factories.top_up("cust_1", "11", name="more")
        assert (found().status, found().starts_at) == ("ACTIVE", LATER + DAY)
        assert factories.available(book) == 5
    assert verification.verify().ok


def test_what_came_between_its_moment_and_the_sweep_starts_it() -> None:
    book = waiting("PREPAID")
    factories.set_clock(book, LATER + DAY)
    factories.top_up("cust_1", "31")
    advance(book, LATER + DAY)

    assert found().status == "ACTIVE"
    assert factories.available(book) == 5


def test_other_cycles_that_end_before_it_are_settled_first() -> None:
    factories.metric("calls")
    calls = {"code": "calls", "model": "PER_UNIT", "metric": "calls", "terms": {"unit_price": "1"}}
    factories.offering("calls", charges=[calls])
    factories.offering(**PLAN)
    book = factories.clocked_customer()
    factories.subscription("cust_1", "calls")
    factories.subscription("cust_1", starts_at=FEBRUARY)
    factories.set_clock(book, FEBRUARY + DAY)

    assert factories.use("cust_1", Decimal(1), "first").status == 200

    entries = Entry.objects.exclude(event="DEBIT").order_by("sequence")
    assert [each.event for each in entries][:2] == ["SETTLEMENT", "SETTLEMENT"]
    done = Settlement.objects.order_by("entry__sequence")
    assert [(each.kind, each.starts_at) for each in done] == [
        ("CYCLE", START), ("OPENING", FEBRUARY),
    ]  # fmt: skip


def test_it_is_cancelled_before(api: APIClient) -> None:
    book = waiting()

    answer = api.post(f"/v1/subscriptions/{found().pk}/cancel", {"at": "NOW"}).json()

    assert answer["status"] == "CANCELLED"
    advance(book, LATER + DAY)
    assert steps() == [("CREATED", START), ("CANCELLED", START)]
    assert (Settlement.objects.count(), CreditLot.objects.count()) == (0, 0)
    assert factories.subscription("cust_1").status == "ACTIVE"


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("pause", {}),
        ("resume", {}),
        ("uncancel", {}),
        ("migrate", {"version": 1, "at": "NOW"}),
        ("migrate", {"version": 1, "at": "PERIOD_END"}),
    ],
)
def test_until_then_nothing_else_may_be_asked(
    api: APIClient, what: str, body: dict[str, Any]
) -> None:
    waiting()
    before = Subscription.objects.values().get(), SubscriptionMove.objects.count()

    response = api.post(f"/v1/subscriptions/{found().pk}/{what}", body)

    assert response.status_code == 409
    assert (Subscription.objects.values().get(), SubscriptionMove.objects.count()) == before


def test_it_has_its_metrics_from_the_beginning_and_is_not_years_ahead(api: APIClient) -> None:
    waiting()
    asked = {"customer_id": "cust_1", "offering": "tokens_monthly"}

    again = api.post("/v1/subscriptions", asked)
    factories.clocked_customer("cust_2")
    far = api.post(
        "/v1/subscriptions", {**asked, "customer_id": "cust_2", "starts_at": "2036-01-01T00:00:00Z"}
    )

    assert again.status_code == 409
    assert (far.status_code, far.json()["code"]) == (422, "too_late")
    assert Subscription.objects.count() == 1
