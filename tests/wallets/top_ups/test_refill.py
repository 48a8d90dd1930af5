"""Automatic refill: threshold, caps, back-off, switch-off, and never a loop."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from aforo.webhooks.models import OutboxEvent
from billing.finance import verification
from billing.jobs import due_work
from billing.models import Subscription
from pricing.models import BonusSlab, TopUpRule
from tests import factories
from tests.factories import advance
from tests.wallets import actions
from tests.wallets.top_ups.refills import DAY, URL, body, in_arrears, refills, set_rule
from wallets.models import AutoRefill, CreditLot, TopUp
from wallets.top_ups import refill

pytestmark = pytest.mark.django_db
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


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
    told = OutboxEvent.objects.get(type="wallet.refilled").payload
    assert (told["amount"], told["automatic"]) == ("50", True)
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


def test_money_of_a_day_and_a_month_has_its_caps() -> None:
    """120 a day and 170 a month, refills of 50, each drained at once: two on 1 January, 20 being
    too little for a third; one more on the 2nd, and the next one on 1 February.
    """
    book = factories.clocked_customer()
    set_rule(max_amount_per_day=Decimal(120), max_amount_per_month=Decimal(170))

    def drain() -> None:
        if (left := factories.available(book)) > 0:
            factories.debit("cust_1", str(left), f"drain-{TopUp.objects.count()}")

    for _ in range(4):
        refill.refill_if_low([book.pk])
        drain()
    assert [at for _, at in refills()] == [factories.START] * 2

    advance(book, factories.START + DAY)
    drain()
    advance(book, factories.START + 3 * DAY)
    assert [at for _, at in refills()][2:] == [factories.START + DAY]
    advance(book, factories.FEBRUARY)
    assert [at for _, at in refills()][3:] == [factories.FEBRUARY]


def test_what_is_owed_is_bought_as_far_as_the_caps_allow() -> None:
    """100.002 are owed: 60 on this day, and the other 40.01, no less than a refill, on the next."""
    book = in_arrears()
    set_rule(max_amount_per_day=Decimal(60))

    refill.refill_if_low([book.pk])
    assert TopUp.objects.get().amount == 60
    assert refill.refill_if_low([book.pk]) == 0
    advance(book, factories.FEBRUARY + DAY)

    assert list(TopUp.objects.order_by("created_at").values_list("amount", flat=True)) == [60, 50]


def test_two_refills_are_so_far_apart() -> None:
    book = factories.clocked_customer()
    set_rule(min_interval=3_600)

    refill.refill_if_low([book.pk])
    factories.debit("cust_1", "50", "drain")
    assert refill.refill_if_low([book.pk]) == 0
    advance(book, factories.START + HOUR - MINUTE)
    assert len(refills()) == 1
    advance(book, factories.START + HOUR)

    assert [at for _, at in refills()] == [factories.START, factories.START + HOUR]


def test_a_refill_says_why_it_was_begun() -> None:
    book = factories.customer()
    factories.grant("cust_1", "15")
    set_rule()

    refill.refill_if_low([book.pk])

    why = {"available": "15", "threshold": "20", "owed": "0"}
    assert TopUp.objects.get().refill_reason == why
    notice = OutboxEvent.objects.get(type="wallet.refilled")
    assert notice.payload["reason"] == why


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
