"""Renewal on demand: at the instant a cycle ends, and after it without any sweep, every request
finds the next cycle's credits and rules.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from billing.cycle_end import cycle_settlement, renewal
from billing.finance import verification
from billing.jobs import due_work
from billing.models import Settlement, Subscription
from tests import factories
from tests.billing.cycle_end.renewals import (
    FEE_30,
    HOUR,
    MODES,
    MONTHLY_100,
    D,
    ask,
    ask_for,
    balances,
    documents,
    lots,
    subscribed,
)
from tests.factories import FEBRUARY, MARCH, START, advance, meter, set_clock
from wallets.debits import engine
from wallets.models import CreditLot, TopUp
from wallets.top_ups import refill

pytestmark = pytest.mark.django_db
WAYS = ("debit", "list", "reservation", "usage debit", "usage reservation")


@pytest.mark.parametrize("late", [timedelta(0), HOUR], ids=["at the instant", "an hour later"])
@pytest.mark.parametrize("grace", [0, 24])
@pytest.mark.parametrize("mode", MODES)
def test_every_way_to_spend_finds_the_next_cycles_credits(
    api: APIClient, mode: str, grace: int, late: timedelta
) -> None:
    """Nobody sweeps. Of the old 100.00, 90.00 are left, and gone; of the new, 60.00 are asked."""
    for number, what in enumerate(WAYS):
        key = f"cust_{number}"
        book = subscribed(mode, grace, key)
        factories.debit(key, "10")
        set_clock(book, FEBRUARY + late)

        answer = ask(api, what, key)

        assert answer.status_code in {200, 201}, answer.content
        body = answer.json()
        body = body["results"][0] if what == "list" else body
        paid = sum(D(part["amount"]) for part in body["allocations"])
        assert (paid, body["balance"]["available"]) == (60, "40"), what
        assert D(body.get("overage", body.get("overage_expected", "0"))) == 0
        current = Subscription.objects.get(customer=book.pk)
        assert (current.cycle, current.current_ends_at) == (1, MARCH)
        assert CreditLot.objects.filter(book=book).count() == 2
    due_work.settle(
        livemode=False, as_of=None, customer_id=None, clock=lambda: FEBRUARY + 30 * HOUR
    )
    assert Settlement.objects.filter(status="SETTLED").count() == (5 if grace == 0 else 0)
    assert verification.verify().ok


@pytest.mark.parametrize("grace", [0, 24])
@pytest.mark.parametrize("mode", MODES)
def test_a_capture_beyond_its_hold_takes_from_the_next_cycle(
    api: APIClient, mode: str, grace: int
) -> None:
    book = subscribed(mode, grace)
    held = factories.body(
        engine.execute(
            [engine.ReserveRequest("cust_1", "r", amount=D(80), expires_in=40 * 86_400)],
            livemode=False,
        )[0]
    )["id"]
    set_clock(book, FEBRUARY)

    answer = api.post(
        f"/v1/wallets/reservations/{held}/capture",
        {"idempotency_key": "c", "amount": "120", "allow_more": True},
    )

    assert answer.status_code == 200, answer.content
    assert [D(part["amount"]) for part in answer.json()["allocations"]] == [80, 40]
    assert answer.json()["overage"] == "0"
    assert answer.json()["balance"]["available"] == "60"
    assert verification.verify().ok


@pytest.mark.parametrize("grace", [0, 24])
def test_a_wallet_is_read_as_renewed(api: APIClient, grace: int) -> None:
    book = subscribed("PREPAID", grace)
    set_clock(book, FEBRUARY)

    shown = api.get("/v1/wallets/cust_1").json()

    assert shown["wallets"][0]["available"] == "100"
    assert [lot["expires_at"] for lot in shown["lots"]] == ["2026-03-01T00:00:00Z"]


@pytest.mark.parametrize("grace", [0, 24])
def test_a_refill_sees_the_next_cycles_credits_before_it_charges(grace: int) -> None:
    book = subscribed("PREPAID", grace)
    refill.set_auto_refill(
        livemode=False, customer_id="cust_1", currency="USD", threshold=D(20), amount=D(50),
        enabled=True,
    )  # fmt: skip
    set_clock(book, FEBRUARY)

    assert refill.refill_if_low([book.pk]) == 0

    assert not TopUp.objects.exists()
    assert factories.available(book) >= 100


@pytest.mark.parametrize("grace", [0, 24])
@pytest.mark.parametrize("is_covered", [True, False])
def test_a_fee_in_advance_that_is_not_covered_gives_no_credits(
    api: APIClient, grace: int, *, is_covered: bool
) -> None:
    """30.00 ahead, twice, and 15,000 tokens metered, of which the plan gives 10,000: 10.00. So a
    top-up of 70.00 is just enough, and one of 60.00 is not.
    """
    units = {"code": "units", "kind": "PROMO", "metric": "tokens", "quantity": D(10_000),
             "recurrence": "EVERY_CYCLE", "expires_at_cycle_end": True}  # fmt: skip
    factories.offering(
        billing_mode="PREPAID",
        grants=[units],
        charges=[FEE_30, *factories.TOKENS_AT_2_MILLS],
        spec={"grace_hours": grace},
    )
    book = factories.clocked_customer()
    factories.top_up("cust_1", "70" if is_covered else "60")
    factories.subscription("cust_1")
    meter(15_000, START)
    set_clock(book, FEBRUARY)
    body = {"customer_id": "cust_1", "metric": "tokens", "quantity": 4_000}

    answer = api.post("/v1/usage/debit", body | {"idempotency_key": "u"})

    current = Subscription.objects.get()
    if is_covered:
        assert answer.json()["unit_balance"]["available"] == "6000", answer.content
        assert answer.json()["balance"]["available"] == "0"
        assert (current.status, current.is_fee_due) == ("ACTIVE", False)
    else:
        assert (answer.status_code, answer.json()["code"]) == (409, "suspended")
        assert (current.status, current.is_fee_due, current.cycle) == ("SUSPENDED", True, 1)
        assert CreditLot.objects.filter(source="PLAN").count() == 1
        factories.top_up("cust_1", "10")
        assert Subscription.objects.get().status == "ACTIVE"
        assert CreditLot.objects.filter(source="PLAN").count() == 2
    advance(book, FEBRUARY + 25 * HOUR)
    # A settlement on the spot bills what is ahead with what is behind.
    assert Settlement.objects.get(kind="CYCLE").totals["total"] == (
        "40" if is_covered and grace == 0 else "10"
    )
    assert factories.available(book) == 0
    assert verification.verify().ok


@pytest.mark.parametrize("grace", [0, 24])
def test_a_customer_renewed_by_requests_ends_as_one_renewed_by_the_sweep(
    api: APIClient, grace: int
) -> None:
    """Usage on time and in grace, rollover of half, a fee in advance: 3 cycles, two customers."""
    plan = {
        "grants": [MONTHLY_100 | {"rollover": {"mode": "PERCENT", "percent": "50"}}],
        "charges": [FEE_30, *factories.TOKENS_AT_2_MILLS],
    }
    swept = subscribed("HYBRID", grace, "swept", **plan)
    asked = subscribed("HYBRID", grace, "asked")
    in_grace = FEBRUARY + (12 * HOUR if grace else HOUR)
    moments = (START + 48 * HOUR, in_grace, MARCH + HOUR, MARCH + 48 * HOUR)
    for moment in moments:
        advance(swept, moment)
        set_clock(asked, moment)
        for key in ("swept", "asked"):
            used = START + 24 * HOUR if moment == in_grace and grace else moment
            meter(2_000, used, f"{moment} {used}", key=key)
            assert ask_for(api, "3", key, f"{moment}").status_code == 200
    renewal.renew_book(asked.pk)
    end = datetime(2026, 4, 3, tzinfo=START.tzinfo)
    advance(swept, end)
    advance(asked, end)

    assert lots(asked) == lots(swept)
    assert balances(asked) == balances(swept)
    assert documents(asked) == documents(swept)
    totals = [
        list(
            Settlement.objects.filter(book=book)
            .order_by("cycle", "kind")
            .values_list("cycle", "kind", "status", "totals__total")
        )
        for book in (swept, asked)
    ]
    assert totals[0] == totals[1]
    assert verification.verify().ok


def test_a_renewal_that_fails_leaves_the_request_what_there_is(
    api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = subscribed("HYBRID")
    factories.top_up("cust_1", "70")
    set_clock(book, FEBRUARY)

    def failing(**terms: object) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr(cycle_settlement, "settle_cycle", failing)
    answer = ask(api, "debit")

    assert [part["kind"] for part in answer.json()["allocations"]] == ["CASH"]
    usage = ask(api, "usage debit")
    assert (usage.status_code, usage.json()["code"]) == (409, "cycle_settling")


def test_a_repeat_is_replayed_without_renewal(api: APIClient) -> None:
    book = subscribed("HYBRID")
    first = ask(api, "debit")
    set_clock(book, FEBRUARY)

    assert ask(api, "debit").content == first.content

    assert Subscription.objects.get().cycle == 0


def test_a_debit_that_needs_no_renewal_costs_no_statement_more() -> None:
    """A debit with a subscription takes as many statements as one without."""
    factories.clocked_customer("cust_0")
    factories.top_up("cust_0", "100")
    subscribed("HYBRID")
    counts = []
    for key in ("cust_0", "cust_1"):
        with CaptureQueriesContext(connection) as captured:
            factories.body(factories.debit(key, "1"))
        counts.append(len(captured))

    assert counts[0] == counts[1]
