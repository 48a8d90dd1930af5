"""Several coupons on a subscription: their order, their dates, the charges that they are for, what
of a fixed one is left; and in how many periods each counts.
"""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from aforo.errors import DomainError, Invalid
from billing.finance import verification
from billing.invoicing.tax_rates import create_tax_rate
from billing.lifecycle import changes, subscribing, subscription_coupons
from billing.models import (
    AdvanceFee,
    Invoice,
    Settlement,
    Subscription,
    SubscriptionCoupon,
)
from billing.realtime import open_cycles
from ledger.models import Book
from pricing.models import Coupon
from pricing.offerings import coupons
from tests import factories
from tests.billing.settlement.usage_burns import balances
from tests.factories import FEBRUARY, MARCH, START, advance, meter

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
APRIL, MAY = MARCH + 31 * DAY, MARCH + 61 * DAY
FEE = {"code": "fee", "model": "FLAT_RATE", "terms": {"flat_fee": "100"}}
AHEAD = {**FEE, "timing": "ADVANCE"}
TOKENS = {"code": "tokens", "model": "PER_UNIT", "metric": "tokens", "terms": {"unit_price": "1"}}


def coupon(code: str, value: str = "10", **terms: Any) -> None:
    """Create a coupon: a percentage for ever, unless told otherwise."""
    given = {"type": "PERCENT", "duration": "FOREVER", **terms}
    if given["type"] == "FIXED":
        given["currency"] = "USD"
    coupons.create_coupon(livemode=False, code=code, value=Decimal(value), **given)


def subscribed(*codes: str, charges: tuple[dict[str, Any], ...] = (FEE,), **more: Any) -> Book:
    """Subscribe a customer on a clock to a plan of these charges, with coupons."""
    factories.offering(billing_mode="HYBRID", charges=list(charges))
    book = factories.clocked_customer(**more)
    factories.subscription(coupons=codes)
    return book


def discounts() -> list[Decimal]:
    """Return what came off each document of a cycle, in their order."""
    found = Settlement.objects.order_by("ends_at", "kind")
    return [Decimal(each.totals["discount"]) for each in found]


def test_coupons_are_taken_off_in_the_order_given() -> None:
    """100 less 10 % and then 5: 85; less 5 and then 10 %: 85.50."""
    coupon("TEN")
    coupon("FIVE", "5", type="FIXED")
    factories.offering(charges=[FEE])
    first, second = factories.clocked_customer("cust_1"), factories.clocked_customer("cust_2")
    factories.subscription("cust_1", coupons=["TEN", "FIVE"])
    factories.subscription("cust_2", coupons=["FIVE", "TEN"])

    advance(first, FEBRUARY)
    advance(second, FEBRUARY)

    totals = dict(Invoice.objects.values_list("customer__book__key", "total"))
    assert totals == {"cust_1": 85, "cust_2": Decimal("85.5")}
    lines = Invoice.objects.get(customer__book=second).lines.filter(kind="DISCOUNT")
    assert list(lines.order_by("position").values_list("description", "amount")) == [
        ("Coupon FIVE", -5),
        ("Coupon TEN", Decimal("-9.5")),
    ]
    assert Settlement.objects.get(book=first).totals["coupons"] == [
        {"code": "TEN", "amount": "10", "period": 0},
        {"code": "FIVE", "amount": "5", "period": 0},
    ]
    assert [each.redemptions for each in Coupon.objects.all()] == [2, 2]
    assert verification.verify().ok


def test_an_empty_period_uses_up_no_coupon() -> None:
    """Once, of metered usage: nothing in January, 40 in February, 60 in March."""
    coupon("HALF", "50", duration="ONCE")
    book = subscribed("HALF", charges=(TOKENS,))
    for quantity, month in ((40, FEBRUARY), (60, MARCH)):
        advance(book, month)
        meter(quantity, month)

    advance(book, APRIL)

    assert discounts() == [0, 20, 0]


def test_late_usage_of_an_empty_period_does_not_use_a_coupon_twice() -> None:
    coupon("HALF", "50", duration="ONCE")
    book = subscribed("HALF", charges=(TOKENS,))
    advance(book, FEBRUARY)
    meter(40, FEBRUARY)
    meter(10, START, "late")

    advance(book, MARCH)

    # Half of February's 40; January's 10 are whole.
    assert (discounts(), Invoice.objects.get().amount_due) == ([0, 20], 30)


@pytest.mark.parametrize(
    ("carries_rest", "off"),
    # 100 a month: 30, 30, 30. With the rest: 250 in all, 100 + 100 + 50 of two periods' 125 each.
    [(False, [100, 100, 0, 0]), (True, [100, 100, 50, 0])],
)
def test_the_rest_of_a_fixed_coupon_is_carried_where_it_says_so(
    carries_rest: bool,
    off: list[int],
) -> None:
    coupon("GIFT", "125", type="FIXED", duration="REPEATING", cycles=2, carries_rest=carries_rest)
    book = subscribed("GIFT")

    advance(book, MAY)

    assert discounts() == off
    assert verification.verify().ok


@pytest.mark.parametrize("timing", ["ARREARS", "ADVANCE"])
def test_a_coupon_counts_in_periods_that_begin_between_its_dates(timing: str) -> None:
    """From 15 January to 1 April: in February and March, whenever their fees are billed."""
    coupon("SPRING", "50", starts_at=START + 14 * DAY, ends_at=APRIL)
    book = subscribed("SPRING", charges=({**FEE, "timing": timing},))

    advance(book, MAY)

    by_month = {
        (each.ends_at if timing == "ADVANCE" and each.kind == "CYCLE" else each.starts_at).month:
        each.totals["discount"]
        for each in Settlement.objects.all()
    }  # fmt: skip
    later = {5: "0"} if timing == "ADVANCE" else {}
    assert by_month == {1: "0", 2: "50", 3: "50", 4: "0", **later}


def test_a_coupon_of_one_charge_leaves_the_fee_of_the_others_whole() -> None:
    """100 ahead and 60 of usage, half off the usage, at 25 % from February and 20 % before: the
    fee of February is taxed whole by 25, the usage's 30 by 6. All 100 are earned by the day.
    """
    for percent, since in (("20", START), ("25", FEBRUARY)):
        create_tax_rate(
            livemode=False, name="VAT", country="ES", percent=Decimal(percent), now=since
        )
    coupon("USAGE", "50", charges=["tokens"])
    book = subscribed("USAGE", charges=(AHEAD, TOKENS), country="ES")
    meter(60, START)

    advance(book, FEBRUARY)

    bill = Settlement.objects.get(kind="CYCLE").totals
    assert (bill["discount"], bill["tax"], bill["total"]) == ("30", "31", "161")
    assert [(each["percent"], each["net"]) for each in bill["taxes"]] == [
        ("20", "30"),
        ("25", "100"),
    ]
    assert [fee.amount for fee in AdvanceFee.objects.order_by("starts_at")] == [100, 100]
    # January's fee is earned, and 30 of usage.
    assert (balances()["4030"], balances()["4020"], balances()["2120"]) == (100, 30, 100)
    assert verification.verify().ok


def test_real_time_usage_has_the_price_that_settlement_bills() -> None:
    coupon("TEN", charges=["tokens"])
    coupon("ONCE", "5", type="FIXED", duration="ONCE")
    factories.offering(billing_mode="PREPAID", charges=[TOKENS])
    book = factories.clocked_customer()
    factories.subscription(coupons=["TEN", "ONCE"])
    factories.top_up("cust_1", "100")

    paid = [
        json.loads(factories.use("cust_1", Decimal(10), f"use_{n}").body)["amount"]
        for n in range(2)
    ]
    advance(book, FEBRUARY)

    # 10 cost 9 less 5, and 10 more 9.
    assert paid == ["4", "9"]
    assert Settlement.objects.get().totals["total"] == "13"


def test_a_coupon_is_added_and_removed_between_documents() -> None:
    coupon("TEN")
    coupon("HALF", "50")
    book = subscribed("TEN")
    found = Subscription.objects.get()
    advance(book, FEBRUARY + DAY)
    subscription_coupons.add(livemode=False, subscription_id=found.pk, code="HALF")
    advance(book, MARCH + DAY)
    subscription_coupons.remove(livemode=False, subscription_id=found.pk, code="TEN")

    advance(book, APRIL)

    # 10; 10 and half of 90; half.
    assert discounts() == [10, 55, 50]
    found.refresh_from_db()
    assert found.coupon is not None
    assert found.coupon.code == "HALF"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda pk: subscription_coupons.add(livemode=False, subscription_id=pk, code="TEN"),
         "coupon_taken"),
        (lambda pk: subscription_coupons.remove(livemode=False, subscription_id=pk, code="GONE"),
         "coupon_not_taken"),
        (lambda pk: subscription_coupons.add(livemode=False, subscription_id=pk, code="SPENT"),
         "coupon_spent"),
        (lambda pk: subscription_coupons.add(livemode=False, subscription_id=pk, code="OVER"),
         "coupon_over"),
    ],
)  # fmt: skip
def test_what_is_refused_changes_nothing(change: Any, code: str) -> None:
    coupon("TEN")
    coupon("SPENT", max_redemptions=1)
    coupon("OVER", ends_at=START)
    coupons.redeem_coupon(coupons.get_coupon(livemode=False, code="SPENT"))
    subscribed("TEN")
    before = list(SubscriptionCoupon.objects.values()), list(Coupon.objects.values())

    with pytest.raises(DomainError) as refused:
        change(Subscription.objects.get().pk)

    assert refused.value.code == code
    assert (list(SubscriptionCoupon.objects.values()), list(Coupon.objects.values())) == before


def test_a_cancelled_subscription_takes_no_coupon() -> None:
    coupon("TEN")
    subscribed()
    found = Subscription.objects.get()
    changes.cancel(livemode=False, subscription_id=found.pk, at="NOW")

    with pytest.raises(changes.NotInState):
        subscription_coupons.add(livemode=False, subscription_id=found.pk, code="TEN")

    assert not SubscriptionCoupon.objects.exists()
    assert Coupon.objects.get().redemptions == 0


@pytest.mark.parametrize(
    ("asked", "pointer"),
    [
        ({"coupon": "TEN", "coupons": ["TEN"]}, "/coupon"),
        ({"coupons": ["TEN", "TEN"]}, "/coupons/1"),
        ({"coupons": ["TEN", "NONE"]}, "/coupons/1"),
        ({"coupons": [f"C{n}" for n in range(11)]}, "/coupons"),
    ],
)
def test_a_wrong_list_of_coupons_is_refused_whole(asked: dict[str, Any], pointer: str) -> None:
    coupon("TEN")
    factories.offering(charges=[FEE])
    factories.clocked_customer()

    with pytest.raises(Invalid) as refused:
        subscribing.subscribe(
            livemode=False, customer_id="cust_1", offering="tokens_monthly", **asked
        )

    assert [error.pointer for error in refused.value.errors] == [pointer]
    assert not Subscription.objects.exists()
    assert Coupon.objects.get().redemptions == 0


def test_a_coupon_that_version_0_1_0_took_counts_on() -> None:
    """Its settlements name no coupon, and its processes write no row of one."""
    coupon("FIFTY", "50", duration="REPEATING", cycles=2)
    book = subscribed("FIFTY")
    advance(book, FEBRUARY)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE billing_settlement DISABLE TRIGGER billing_settlement_kept")
        cursor.execute("UPDATE billing_settlement SET totals = totals - 'coupons'")
        cursor.execute(
            "ALTER TABLE billing_settlement ENABLE ALWAYS TRIGGER billing_settlement_kept"
        )

    advance(book, APRIL)

    assert discounts() == [50, 50, 0]
    row = SubscriptionCoupon.objects.get()
    assert (row.coupon.code, row.position, row.from_period) == ("FIFTY", 0, 0)


def test_open_cycles_read_coupons_in_the_same_statement(
    django_assert_num_queries: Any,
) -> None:
    coupon("TEN", duration="ONCE")
    coupon("FIVE", "5", type="FIXED")
    book = subscribed("TEN", "FIVE", charges=(TOKENS,))
    meter(10, START)
    open_cycles.read_unsettled(book=book, now=START + DAY, before=FEBRUARY)

    with django_assert_num_queries(2):
        (cycle,) = open_cycles.read_unsettled(book=book, now=START + DAY, before=FEBRUARY)

    assert [each.coupon.code for each in cycle.coupons.attached] == ["TEN", "FIVE"]
