"""Fees in advance, shorter first cycles and included quantity that rolls, cycle by cycle."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from aforo.errors import Invalid
from billing.finance import verification
from billing.models import AdvanceFee, Invoice, Settlement, Subscription
from billing.subscriptions import advance_fees
from ledger.models import Book
from ledger.reports import trial_balance
from pricing.offerings import coupons
from tests import factories
from tests.factories import FEBRUARY, MARCH, START, advance, meter, subscription
from wallets.models import CreditLot

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
FEE_30: list[dict[str, Any]] = [
    {"code": "fee", "model": "FLAT_RATE", "terms": {"flat_fee": "30"}, "timing": "ADVANCE"},
    *factories.TOKENS_AT_2_MILLS,
]


def sold(mode: str = "HYBRID", charges: Any = FEE_30, **plan: Any) -> Book:
    factories.offering(billing_mode=mode, charges=charges, **plan)
    return factories.clocked_customer()


def balances() -> dict[str, Decimal]:
    return {row.account: row.balance for row in trial_balance(livemode=False) if row.balance}


def lines(invoice: Invoice) -> list[tuple[str, Decimal]]:
    return [(line.kind, line.amount) for line in invoice.lines.order_by("position")]


def test_an_opening_bills_the_first_fee_and_each_cycle_the_next_one() -> None:
    book = sold()
    subscription()

    opening = Settlement.objects.get()
    assert (opening.kind, opening.cycle, opening.status) == ("OPENING", 0, "SETTLED")
    assert len(opening.stages) == 10
    assert lines(Invoice.objects.get()) == [("FEE", 30)]
    assert balances() == {"1100": 30, "2120": 30}
    meter(5_000, START)
    advance(book, FEBRUARY)

    second = Invoice.objects.get(settlement__kind="CYCLE")
    assert lines(second) == [("USAGE", 10), ("FEE", 30)]
    assert balances() == {"1100": 70, "2120": 30, "4020": 10, "4030": 30}
    assert verification.verify().ok


def test_a_fee_is_earned_by_day_and_the_last_day_takes_the_rest() -> None:
    """30.00 over 31 days: 10 days earn 9.677419354839."""
    book = sold()
    subscription()

    assert advance_fees.recognise_fees(book=book, until=START + 10 * DAY) == 1
    assert advance_fees.recognise_fees(book=book, until=START + 10 * DAY) == 0
    assert balances()["4030"] == Decimal("9.677419354839")
    assert advance_fees.recognise_fees(book=book, until=FEBRUARY) == 1
    assert balances() == {"1100": 30, "4030": 30}
    assert advance_fees.recognise_fees(book=book, until=MARCH) == 0


def test_prepaid_credits_pay_the_fee_before_anything_is_granted() -> None:
    """Promo 10 holds nothing, so of the fee of 30 the 20 of cash are owed until they are earned."""
    grant = {"kind": "PROMO", "metric": "tokens", "quantity": Decimal(500)}
    book = sold("PREPAID", grants=[grant])
    factories.grant("cust_1", "10", "PROMO")
    factories.top_up("cust_1", "25")

    assert subscription().status == "ACTIVE"

    assert factories.available(book) == 5
    assert balances() == {"1010": 25, "2100": 5, "2120": 20}
    assert not Invoice.objects.exists()
    assert CreditLot.objects.filter(source="PLAN").count() == 1
    assert verification.verify().ok


def test_a_prepaid_subscription_waits_for_credits_and_starts_with_them() -> None:
    grant = {"kind": "PROMO", "metric": "tokens", "quantity": Decimal(500)}
    book = sold("PREPAID", grants=[grant])
    factories.top_up("cust_1", "20")
    assert subscription().status == "CREATED"
    assert (Settlement.objects.count(), factories.available(book)) == (0, 20)
    assert not CreditLot.objects.filter(source="PLAN").exists()
    advance(book, MARCH)
    assert not Settlement.objects.exists()

    factories.top_up("cust_1", "15")

    found = Subscription.objects.get()
    assert (found.status, found.current_starts_at) == ("ACTIVE", MARCH)
    assert found.current_ends_at == datetime(2026, 4, 1, tzinfo=START.tzinfo)
    assert factories.available(book) == 5
    assert CreditLot.objects.filter(source="PLAN").count() == 1
    assert balances() == {"1010": 35, "2100": 5, "2120": 30}


def test_a_renewal_that_is_not_covered_owes_nothing_and_waits() -> None:
    """40 - 30 - 5 of usage leave 5: no renewal. From mid-February half of the fee: 5 + 30 - 15."""
    grant = {"kind": "PROMO", "amount": Decimal(1), "recurrence": "EVERY_CYCLE",
             "expires_at_cycle_end": True}  # fmt: skip
    book = sold("PREPAID", grants=[grant])
    factories.top_up("cust_1", "40")
    subscription()
    meter(3_000, START)

    advance(book, FEBRUARY)

    done = Settlement.objects.get(kind="CYCLE")
    assert (done.totals["total"], done.arrears) == ("6", 0)
    assert Subscription.objects.get().status == "SUSPENDED"
    assert CreditLot.objects.filter(source="PLAN").count() == 1
    assert factories.available(book) == 5
    advance(book, FEBRUARY + 14 * DAY)
    factories.top_up("cust_1", "30")

    found = Subscription.objects.get()
    assert (found.status, found.is_fee_due, found.current_starts_at) == ("ACTIVE", False, FEBRUARY)
    assert factories.available(book) == 20 + 1
    late = Settlement.objects.get(kind="OPENING", cycle=1)
    assert (late.totals["total"], late.starts_at) == ("15", FEBRUARY + 14 * DAY)
    advance(book, MARCH)
    assert balances()["4030"] == 45
    assert verification.verify().ok


def test_a_trials_end_bills_the_first_fee() -> None:
    book = sold(trial_days=14)
    subscription()
    assert not Settlement.objects.exists()

    advance(book, START + 14 * DAY)

    assert lines(Invoice.objects.get()) == [("FEE", 30)]
    assert AdvanceFee.objects.get().starts_at == START + 14 * DAY


def test_a_coupon_for_once_counts_on_the_first_document() -> None:
    coupons.create_coupon(
        livemode=False, code="HALF", type="PERCENT", value=Decimal(50), duration="ONCE"
    )
    book = sold()
    subscription(coupon="HALF")

    advance(book, MARCH)

    totals = Invoice.objects.order_by("issued_at").values_list("total", flat=True)
    assert list(totals) == [15, 30, 30]
    # 15 + 30 + 30 billed, January and February earned.
    assert (balances()["2120"], balances()["4030"]) == (30, 45)


@pytest.mark.parametrize(
    ("cash", "ssp", "shares", "left"),
    [
        # 100 cash and 20,000 tokens at .002 share a fee of 100 by 100 : 40 (docs/decisions.md#d29).
        (100, "0.002", ["71.428571428571", "28.571428571429"], "0"),
        # Credits that cost less than the fee hold their price; the rest is the fee for the days.
        (20, None, ["20", "0"], "80"),
    ],
)
def test_credits_of_a_plan_hold_their_share_of_the_fee(
    cash: int, ssp: str | None, shares: list[str], left: str
) -> None:
    fee = {"code": "fee", "model": "FLAT_RATE", "terms": {"flat_fee": "100"}, "timing": "ADVANCE"}
    grants = [
        {"kind": "PROMO", "amount": Decimal(7)},
        {"kind": "CASH", "amount": Decimal(cash), "recurrence": "EVERY_CYCLE"},
        {"kind": "BONUS", "metric": "tokens", "quantity": Decimal(20_000),
         "ssp_unit_price": None if ssp is None else Decimal(ssp)},
    ]  # fmt: skip
    sold(charges=[fee, *factories.TOKENS_AT_2_MILLS], grants=grants)

    subscription()

    carrying = {lot.kind: lot.carrying for lot in CreditLot.objects.all()}
    assert carrying == {"PROMO": 0, "CASH": Decimal(shares[0]), "BONUS": Decimal(shares[1])}
    assert AdvanceFee.objects.get().amount == Decimal(left)
    assert balances().get("2120", 0) == Decimal(left)
    assert verification.verify().ok


def test_only_a_flat_fee_can_be_charged_in_advance() -> None:
    with pytest.raises(Invalid) as refused:
        sold(charges=[{**factories.TOKENS_AT_2_MILLS[0], "timing": "ADVANCE"}])

    assert [error.pointer for error in refused.value.errors] == ["/charges/0/timing"]


def test_a_shorter_first_cycle_owes_its_part() -> None:
    """17 of 31 days: fee in advance 31 -> 17, arrears 62 -> 34, minimum 310 -> 170; VOLUME bound
    310 -> 170, so 200 used are all at the second tier's 0.10. Then the whole fee of February.
    """
    charges: list[dict[str, Any]] = [
        {"code": "ahead", "model": "FLAT_RATE", "terms": {"flat_fee": "31"}, "timing": "ADVANCE"},
        {"code": "after", "model": "FLAT_RATE", "terms": {"flat_fee": "62"}},
        {"code": "calls", "model": "VOLUME", "metric": "tokens",
         "terms": {"tiers": [{"up_to": "310", "unit_price": "1"},
                             {"up_to": None, "unit_price": "0.1"}]}},
    ]  # fmt: skip
    factories.offering(charges=charges, spec={"minimum_spend": Decimal(310)})
    book = factories.clocked_customer(now=START + 14 * DAY)
    subscription(anchor_day=1)
    meter(200, START + 14 * DAY)

    advance(book, FEBRUARY)

    opening, cycle = Invoice.objects.order_by("issued_at")
    assert lines(opening) == [("FEE", 17)]
    assert sorted(lines(cycle)) == [("COMMIT", 116), ("FEE", 31), ("FEE", 34), ("USAGE", 20)]


def test_unused_included_quantity_rolls_for_one_cycle() -> None:
    """100 included. 30 used: 70 roll. 150 of 170 used, the rolled first: 20 roll. 130 of 120: 10
    x 1.00. An unused April would roll 100, not 120.
    """
    quota = {
        "included_quantity": "100",
        "unit_price": "1",
        "rollover": {"mode": "ALL", "cycles": 1},
    }
    charges = [{"code": "calls", "model": "INCLUDED_QUOTA", "metric": "tokens", "terms": quota}]
    book = sold(charges=charges)
    subscription()
    april, may = (datetime(2026, month, 1, tzinfo=START.tzinfo) for month in (4, 5))
    meter(30, START)
    advance(book, FEBRUARY)
    meter(150, FEBRUARY)
    advance(book, MARCH)
    meter(130, MARCH)
    advance(book, april)
    advance(book, may)

    done = list(Settlement.objects.order_by("cycle"))
    assert [s.totals["total"] for s in done] == ["0", "0", "10", "0"]
    assert [s.rolled_on for s in done] == [
        {"calls": ["70"]}, {"calls": ["20"]}, {}, {"calls": ["100"]},
    ]  # fmt: skip
    assert done[1].stages[1]["out"] == {"calls": "170"}
