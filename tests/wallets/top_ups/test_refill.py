"""Automatic refill: threshold, caps, back-off, switch-off, and never a loop."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from rest_framework.test import APIClient

from aforo.webhooks.models import OutboxEvent
from billing.finance import verification
from billing.jobs import due_work, tasks
from billing.lifecycle import changes
from billing.models import Subscription, SubscriptionStatus
from billing.subscriptions import spend_rules
from ledger.models import Book
from pricing.models import BonusSlab, TopUpRule
from tests import factories
from tests.factories import advance
from tests.wallets import actions
from wallets.models import AutoRefill, CreditLot, TopUp
from wallets.top_ups import refill

pytestmark = pytest.mark.django_db

URL = "/v1/wallets/cust_1/auto-refill"
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


def body(**changes: Any) -> dict[str, Any]:
    asked = {"currency": "USD", "threshold": "20", "amount": "50", "enabled": True}
    return {name: value for name, value in (asked | changes).items() if value is not None}


def set_rule(**changes: Any) -> AutoRefill:
    terms: dict[str, Any] = {
        "livemode": False,
        "customer_id": "cust_1",
        "currency": "USD",
        "threshold": Decimal(20),
        "amount": Decimal(50),
        "enabled": True,
    }
    return refill.set_auto_refill(**terms | changes)


def refills() -> list[tuple[str, datetime]]:
    return list(
        TopUp.objects.filter(auto_refill__isnull=False)
        .order_by("created_at", "id")
        .values_list("status", "created_at")
    )


def test_the_debit_that_crosses_the_threshold_refills(
    api: APIClient, django_capture_on_commit_callbacks: Any
) -> None:
    book = factories.customer()
    factories.top_up("cust_1", "60")
    assert api.put(URL, body()).status_code == 200

    with django_capture_on_commit_callbacks(execute=True):
        factories.debit("cust_1", "39")
    assert refills() == []
    with django_capture_on_commit_callbacks(execute=True):
        factories.debit("cust_1", "1")

    assert [status for status, _ in refills()] == ["SUCCEEDED"]
    assert factories.available(book) == 70
    lot = CreditLot.objects.order_by("-granted_at", "-id").first()
    assert lot is not None
    assert (lot.source, lot.kind, lot.face, lot.carrying) == ("REFILL", "CASH", 50, 50)
    assert verification.verify().ok


def test_a_refill_earns_the_slabs_bonus() -> None:
    book = factories.customer()
    rule = TopUpRule.objects.create(livemode=False, currency="USD")
    BonusSlab.objects.create(rule=rule, from_amount=50, bonus=10)
    set_rule()

    assert refill.refill_if_low([book.pk]) == 1

    assert sorted(CreditLot.objects.values_list("kind", "face", "source")) == [
        ("BONUS", 10, "REFILL"),
        ("CASH", 50, "REFILL"),
    ]


def in_arrears() -> Book:
    """Use 50,001 tokens at .002 without a credit, and settle: 100.002 is owed, and suspends."""
    factories.offering(billing_mode="PREPAID")
    book = factories.clocked_customer()
    subscription = factories.subscription("cust_1")
    advance(book, factories.START + 2 * DAY)
    factories.meter(50_001, factories.START + DAY, "e")
    advance(book, factories.FEBRUARY)
    subscription.refresh_from_db()
    assert subscription.status == "SUSPENDED"
    return book


def test_a_refill_buys_all_that_is_owed_in_whole_cents() -> None:
    book = in_arrears()
    set_rule()

    assert refill.refill_if_low([book.pk]) == 1

    assert TopUp.objects.get().amount == Decimal("100.01")
    assert factories.available(book) == Decimal("0.008")
    assert Subscription.objects.get().status == "ACTIVE"
    assert verification.verify().ok


def refilling(metered: int = 0) -> tuple[Book, Subscription]:
    """A PREPAID customer with 20 that fills itself at 20, which has used so many tokens at .002."""
    factories.offering(billing_mode="PREPAID")
    book = factories.clocked_customer()
    factories.top_up("cust_1", "20")
    subscription = factories.subscription("cust_1")
    advance(book, factories.START + DAY)
    if metered:
        factories.meter(metered, factories.START + timedelta(hours=1), "e")
    set_rule()
    return book, subscription


@pytest.mark.parametrize("at", ["NOW", "PERIOD_END"])
def test_who_has_cancelled_is_not_charged(api: APIClient, at: str) -> None:
    book, subscription = refilling()

    changes.cancel(livemode=False, subscription_id=subscription.pk, at=at)
    if at == "PERIOD_END":
        AutoRefill.objects.update(switched_off_at=factories.START)
        advance(book, factories.FEBRUARY)
        AutoRefill.objects.update(switched_off_at=None)

    assert refill.refill_if_low([book.pk]) == 0
    assert refills() == []
    assert api.get(URL).json()["enabled"] is False
    advance(book, factories.FEBRUARY + DAY)
    assert refills() == []


def test_until_its_end_a_cancelled_subscription_is_served() -> None:
    book, subscription = refilling()

    changes.cancel(livemode=False, subscription_id=subscription.pk, at="PERIOD_END")

    assert refill.refill_if_low([book.pk]) == 1


def test_who_has_cancelled_and_sets_it_again_is_charged() -> None:
    """As a customer without a subscription, at the very moment of the cancellation."""
    book, subscription = refilling()
    changes.cancel(livemode=False, subscription_id=subscription.pk, at="NOW")

    set_rule()

    assert refill.refill_if_low([book.pk]) == 1
    factories.body(factories.debit("cust_1", "60"))
    assert refill.refill_if_low([book.pk]) == 1
    assert verification.verify().ok


def test_another_subscription_in_the_currency_goes_on() -> None:
    book, subscription = refilling()
    factories.metric("calls")
    factories.offering(
        "calls",
        billing_mode="PREPAID",
        charges=[
            {"code": "calls", "description": "Calls", "model": "PER_UNIT", "metric": "calls",
             "terms": {"unit_price": "1"}},
        ],
    )  # fmt: skip
    factories.subscription("cust_1", "calls")

    changes.cancel(livemode=False, subscription_id=subscription.pk, at="NOW")

    assert refill.refill_if_low([book.pk]) == 1


def test_who_has_left_is_charged_what_is_owed_and_no_more() -> None:
    """30,000 tokens at .002 are 60: the 20 pay, 40 are owed, and not the 50 of the rule."""
    book, subscription = refilling(metered=30_000)
    changes.cancel(livemode=False, subscription_id=subscription.pk, at="NOW")

    assert refill.refill_if_low([book.pk]) == 1

    assert TopUp.objects.get(auto_refill__isnull=False).amount == 40
    assert factories.available(book) == 0
    assert refill.refill_if_low([book.pk]) == 0
    assert AutoRefill.objects.get().switched_off_at is not None
    assert verification.verify().ok


def test_the_smallest_top_up_pays_what_who_has_left_owes() -> None:
    book, subscription = refilling(metered=30_000)
    TopUpRule.objects.create(livemode=False, currency="USD", minimum=45)
    changes.cancel(livemode=False, subscription_id=subscription.pk, at="NOW")

    assert refill.refill_if_low([book.pk]) == 1

    assert TopUp.objects.get(auto_refill__isnull=False).amount == 45


def test_who_is_paused_is_charged_once_it_goes_on() -> None:
    book, subscription = refilling()
    changes.pause(livemode=False, subscription_id=subscription.pk)

    assert refill.refill_if_low([book.pk]) == 0
    advance(book, factories.START + 2 * DAY)
    assert refills() == []
    changes.resume(livemode=False, subscription_id=subscription.pk)

    assert refill.refill_if_low([book.pk]) == 1
    assert [status for status, _ in refills()] == ["SUCCEEDED"]


def test_who_is_suspended_and_owes_nothing_is_not_charged() -> None:
    book, subscription = refilling()
    with transaction.atomic():
        spend_rules.set_status(
            book=book, subscription=subscription, status=SubscriptionStatus.SUSPENDED
        )

    assert refill.refill_if_low([book.pk]) == 0
    assert refills() == []


@pytest.mark.parametrize("held", ["45", "60"])
def test_a_hold_whose_time_is_over_hides_nothing(held: str) -> None:
    """60, of which 45 or all are held for an hour; a day later nobody has swept."""
    book = factories.clocked_customer()
    factories.top_up("cust_1", "60")
    actions.held(held, expires_in=3_600)
    set_rule()
    actions.set_clock(factories.START + DAY)

    assert refill.refill_if_low([book.pk]) == 0

    assert refills() == []
    actions.set_clock(factories.START + 2 * DAY)
    factories.body(factories.debit("cust_1", "41"))
    assert refill.refill_if_low([book.pk]) == 1
    assert verification.verify().ok


def test_a_hold_that_lives_still_counts_as_gone() -> None:
    book = factories.clocked_customer()
    factories.top_up("cust_1", "60")
    actions.held("45", expires_in=3_600)
    set_rule()

    assert refill.refill_if_low([book.pk]) == 1


@pytest.mark.parametrize(
    ("amount", "currency"), [("10.005", "USD"), ("100.5", "JPY"), ("10.0005", "KWD")]
)
def test_a_refill_buys_only_what_can_be_paid(api: APIClient, amount: str, currency: str) -> None:
    factories.customer()
    before = factories.everything()

    answer = api.put(URL, body(amount=amount, currency=currency))

    assert (answer.status_code, answer.json()["code"]) == (422, "not_payable")
    assert answer.json()["errors"][0]["pointer"] == "/amount"
    assert factories.everything() == before


def test_a_refill_buys_no_more_at_once_than_may_be_bought() -> None:
    book = in_arrears()
    TopUpRule.objects.create(livemode=False, currency="USD", maximum=60)
    set_rule()

    assert refill.refill_if_low([book.pk]) == 1

    assert TopUp.objects.get().amount == 60
    assert Subscription.objects.get().status == "SUSPENDED"
    assert refill.refill_if_low([book.pk]) == 1
    assert Subscription.objects.get().status == "ACTIVE"
    assert factories.available(book) == Decimal("9.998")  # 60 + 50 - 100.002


def test_one_refill_a_call_and_none_above_the_threshold() -> None:
    book = factories.customer()
    set_rule(threshold=Decimal(100))

    assert [refill.refill_if_low([book.pk]) for _ in range(4)] == [1, 1, 1, 0]

    assert factories.available(book) == 150


def test_the_sweep_refills_whom_no_debit_would() -> None:
    book = factories.customer()
    set_rule()
    other = factories.clocked_customer("cust_2")
    set_rule(customer_id="cust_2")

    assert due_work.refill() == (1, [])

    assert factories.available(book) == 50
    assert factories.available(other) == 0


def test_a_day_and_a_month_have_their_caps() -> None:
    """Two a day, three a month, each drained at once: 2 on 1 January, 1 on the 2nd, then 1 Feb."""
    book = factories.clocked_customer()
    set_rule(max_per_day=2, max_per_month=3)

    def drain() -> None:
        if (left := factories.available(book)) > 0:
            factories.debit("cust_1", str(left), f"drain-{TopUp.objects.count()}")

    for _ in range(5):
        refill.refill_if_low([book.pk])
        drain()
    assert [at for _, at in refills()] == [factories.START] * 2

    advance(book, factories.START + DAY - MINUTE)
    assert len(refills()) == 2
    advance(book, factories.START + DAY)
    drain()
    assert [at for _, at in refills()][2:] == [factories.START + DAY]
    advance(book, factories.FEBRUARY - MINUTE)
    assert len(refills()) == 3
    advance(book, factories.FEBRUARY)
    assert [at for _, at in refills()][3:] == [factories.FEBRUARY]


def test_failures_back_off_then_switch_off_and_are_told_of() -> None:
    """Declined at 0:00, again after 1 minute, again after 2 more: off, and nothing follows."""
    book = factories.clocked_customer()
    set_rule(method="test_declined")

    refill.refill_if_low([book.pk])
    assert refill.refill_if_low([book.pk]) == 0
    advance(book, factories.START + DAY)

    assert refills() == [
        ("FAILED", factories.START),
        ("FAILED", factories.START + MINUTE),
        ("FAILED", factories.START + 3 * MINUTE),
    ]
    rule = AutoRefill.objects.get()
    assert (rule.failures, rule.switched_off_at) == (3, factories.START + 3 * MINUTE)
    told = OutboxEvent.objects.filter(type="wallet.refill_failed").order_by("id")
    assert [(e.payload["failures"], e.payload["switched_off"]) for e in told] == [
        (1, False),
        (2, False),
        (3, True),
    ]
    assert CreditLot.objects.count() == 0


def test_setting_the_rule_again_switches_it_on_with_a_clean_sheet() -> None:
    book = factories.clocked_customer()
    set_rule(method="test_declined")
    refill.refill_if_low([book.pk])
    advance(book, factories.START + DAY)

    rule = set_rule()

    assert (rule.failures, rule.next_attempt_at, rule.switched_off_at) == (0, None, None)
    assert refill.refill_if_low([book.pk]) == 1


def test_a_success_forgets_earlier_failures() -> None:
    book = factories.clocked_customer()
    set_rule(method="test_declined")
    refill.refill_if_low([book.pk])
    AutoRefill.objects.update(method="test_ok")

    advance(book, factories.START + DAY)

    rule = AutoRefill.objects.get()
    assert (rule.failures, rule.next_attempt_at) == (0, None)
    assert [status for status, _ in refills()] == ["FAILED", "SUCCEEDED"]


def test_while_a_payment_is_in_flight_no_other_begins() -> None:
    book = factories.clocked_customer()
    set_rule(method="test_delayed")

    assert [refill.refill_if_low([book.pk]) for _ in range(3)] == [1, 0, 0]
    advance(book, factories.START + DAY)

    assert refills() == [("SUCCEEDED", factories.START)]
    lot = CreditLot.objects.get()
    assert lot.granted_at == factories.START + MINUTE


def test_a_threshold_out_of_reach_does_not_spin_the_clock() -> None:
    book = factories.clocked_customer()
    set_rule(threshold=Decimal(10) ** 20, amount=Decimal(1), max_per_day=5)

    advance(book, factories.START + DAY - MINUTE)

    assert [at for _, at in refills()] == [factories.START + n * MINUTE for n in range(5)]


def test_a_disabled_rule_does_nothing(api: APIClient) -> None:
    book = factories.customer()

    answer = api.put(URL, body(enabled=False))

    assert (answer.status_code, answer.json()["enabled"]) == (200, False)
    assert refill.refill_if_low([book.pk]) == 0
    assert due_work.refill() == (0, [])


def test_the_rule_is_shown_as_it_was_set(api: APIClient) -> None:
    factories.customer()
    assert api.get(URL).status_code == 404

    put = api.put(URL, body(max_per_day=2, max_per_month=10)).json()

    assert api.get(URL).json() == put
    assert (put["threshold"], put["amount"], put["max_per_day"], put["max_per_month"]) == (
        "20",
        "50",
        2,
        10,
    )
    assert (put["enabled"], put["method"], put["failures"]) == (True, "test_ok", 0)
    api.put(URL, body(currency="EUR"))
    assert api.get(URL).json()["code"] == "currency_required"
    assert api.get(f"{URL}?currency=EUR").json()["currency"] == "EUR"
    assert api.put(URL, body()).json()["max_per_day"] is None


@pytest.mark.parametrize(
    ("changes", "status", "pointer"),
    [
        ({"threshold": "-1"}, 422, "/threshold"),
        ({"threshold": None}, 422, "/threshold"),
        ({"amount": "0"}, 422, "/amount"),
        ({"amount": "5"}, 422, "/amount"),
        ({"max_per_day": 0}, 422, "/max_per_day"),
        ({"max_per_day": "many"}, 422, "/max_per_day"),
        ({"max_per_month": 10**12}, 422, "/max_per_month"),
        ({"enabled": None}, 422, "/enabled"),
        ({"currency": "XXX"}, 422, "/currency"),
        ({"method": "gold"}, 422, "/method"),
        ({"loop": True}, 422, "/loop"),
    ],
)
def test_a_bad_rule_changes_nothing(
    api: APIClient, changes: dict[str, Any], status: int, pointer: str
) -> None:
    factories.customer()
    TopUpRule.objects.create(livemode=False, currency="USD", minimum=10)
    before = factories.everything()

    answer = api.put(URL, body(**changes))

    assert answer.status_code == status
    assert [e["pointer"] for e in answer.json()["errors"]] == [pointer]
    assert (AutoRefill.objects.count(), factories.everything()) == (0, before)


def test_live_refills_need_a_gateway(live_api: APIClient) -> None:
    factories.customer(livemode=True)

    answer = live_api.put(URL, body())

    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_payment_method")
    assert AutoRefill.objects.count() == 0


def test_nobody_has_no_rule(api: APIClient) -> None:
    assert api.put("/v1/wallets/nobody/auto-refill", body()).status_code == 404
    assert api.get("/v1/wallets/nobody/auto-refill").status_code == 404


def test_the_command_refills_one_customer_or_all(capsys: pytest.CaptureFixture[str]) -> None:
    factories.clocked_customer()
    factories.customer("cust_2")
    set_rule()
    set_rule(customer_id="cust_2")

    call_command("refill", "--customer", "cust_1")
    call_command("refill")
    call_command("refill")

    assert capsys.readouterr().out == "1 refills begun\n1 refills begun\n0 refills begun\n"
    with pytest.raises(CommandError, match="no customer nobody"):
        call_command("refill", "--customer", "nobody")


def test_a_worker_refills_by_ids_alone() -> None:
    book = factories.customer()
    set_rule()

    tasks.refill_books([book.pk])
    tasks.refill_books([book.pk])

    assert factories.available(book) == 50
