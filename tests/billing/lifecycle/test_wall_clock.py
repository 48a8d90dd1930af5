"""Trials, anniversaries and lifetimes by the wall clock of the customer; zones that change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction

from billing.customers import customers
from billing.finance import verification
from billing.lifecycle import changes
from billing.models import AdvanceFee, Invoice, Settlement, Subscription, TaxRate
from ledger.entries import books
from ledger.models import Book
from pricing.models import TopUpRule
from pricing.offerings import coupons
from tests import campaigns, factories
from tests.factories import FEBRUARY, MARCH, START, advance, subscription
from wallets.grants import campaign_grants
from wallets.models import CreditLot

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
APRIL, MAY = datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC)
NEW_YORK = ZoneInfo("America/New_York")


def fee(amount: str, timing: str = "ARREARS") -> dict[str, Any]:
    terms = {"flat_fee": amount}
    return {"code": f"fee_{timing}", "model": "FLAT_RATE", "terms": terms, "timing": timing}


def sold(
    *charges: dict[str, Any], now: datetime = START, timezone: str = "UTC", **plan: Any
) -> Book:
    factories.offering(charges=charges, **plan)
    book = factories.clocked_customer(now=now)
    move_to(timezone)
    return book


def move_to(timezone: str) -> None:
    customers.update_customer(livemode=False, customer_id="cust_1", changes={"timezone": timezone})


def local(year: int, month: int, day: int, hour: int, minute: int = 0, fold: int = 0) -> datetime:
    there = datetime(year, month, day, hour, minute, tzinfo=NEW_YORK, fold=fold)
    return there.astimezone(UTC)


def totals() -> list[Decimal]:
    return list(Invoice.objects.order_by("issued_at", "pk").values_list("total", flat=True))


def spans() -> list[tuple[datetime, datetime]]:
    cycles = Settlement.objects.filter(kind="CYCLE").order_by("cycle")
    return list(cycles.values_list("starts_at", "ends_at"))


def test_a_trial_ends_where_a_short_cycle_up_to_the_anchor_day_begins() -> None:
    """On trial to the 15th; to 1 February 17 of 31 days: 31.00 ahead is 17.00, 62 after is 34.00,
    310 tokens included are 170, and a grant of 10.01 is 5.48, cut to cents.
    """
    quota = {"code": "calls", "model": "INCLUDED_QUOTA", "metric": "tokens",
             "terms": {"included_quantity": "310", "unit_price": "1"}}  # fmt: skip
    grants = [
        {"kind": "PROMO", "amount": Decimal("10.01"), "recurrence": "EVERY_CYCLE",
         "expires_at_cycle_end": True},
        {"kind": "PROMO", "metric": "calls", "quantity": Decimal(10), "recurrence": "EVERY_CYCLE"},
    ]  # fmt: skip
    factories.metric("calls")
    book = sold(fee("31", "ADVANCE"), fee("62"), quota, trial_days=14, grants=grants)
    subscription(anchor_day=1)

    advance(book, START + 14 * DAY)
    assert totals() == [17]
    assert (AdvanceFee.objects.get().starts_at, AdvanceFee.objects.get().ends_at) == (
        START + 14 * DAY, FEBRUARY,
    )  # fmt: skip
    granted = CreditLot.objects.filter(granted_at=START + 14 * DAY).order_by("-face")
    assert [lot.face for lot in granted] == [Decimal("5.48"), 5]
    factories.meter(171, START + 14 * DAY, "use")
    advance(book, MARCH)

    assert spans() == [
        (START, START + 14 * DAY), (START + 14 * DAY, FEBRUARY), (FEBRUARY, MARCH),
    ]  # fmt: skip
    # 34 after, 1 token, 31 ahead; then 62 + 31.
    assert totals() == [17, 66, 93]
    assert verification.verify().ok


def test_a_trial_of_february_is_followed_by_nine_days_of_march() -> None:
    """21 February and 30 days: 23 March to 1 April, 9 of 31 days of 31 in arrears."""
    book = sold(fee("31"), now=datetime(2026, 2, 21, tzinfo=UTC), trial_days=30)
    subscription(anchor_day=1)

    advance(book, APRIL)

    paid = Settlement.objects.get(cycle=1)
    assert (paid.starts_at, paid.ends_at) == (datetime(2026, 3, 23, tzinfo=UTC), APRIL)
    assert totals() == [9]


@pytest.mark.parametrize("anchor_day", [None, 15])
def test_a_trial_that_ends_on_the_anchor_is_followed_by_a_whole_cycle(anchor_day: int) -> None:
    book = sold(fee("31", "ADVANCE"), trial_days=14)
    subscription(anchor_day=anchor_day)

    advance(book, FEBRUARY + 14 * DAY)

    assert totals() == [31, 31]
    assert spans() == [
        (START, START + 14 * DAY), (START + 14 * DAY, FEBRUARY + 14 * DAY),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("zone", "ends"), [("America/Los_Angeles", 7), ("Asia/Tokyo", -9), ("Pacific/Kiritimati", -14)]
)
def test_a_zone_changed_in_an_open_month_counts_from_the_next_one(zone: str, ends: int) -> None:
    """March stays 100 and whole; April ends by the new clock, and is a whole one too."""
    book = sold(fee("100"), now=MARCH)
    subscription()
    advance(book, MARCH + 9 * DAY)

    move_to(zone)
    advance(book, datetime(2026, 6, 2, tzinfo=UTC))

    may = datetime(2026, 5, 1, tzinfo=UTC) + timedelta(hours=ends)
    june = datetime(2026, 6, 1, tzinfo=UTC) + timedelta(hours=ends)
    assert spans() == [(MARCH, APRIL), (APRIL, may), (may, june)]
    assert totals() == [100, 100, 100]
    assert verification.verify().ok


def test_a_zone_changed_on_trial_and_while_paused_leaves_what_is_open() -> None:
    """The trial ends as it would; the first month is a whole one. A pause keeps its month's end."""
    book = sold(fee("31"), trial_days=14)
    found = subscription()
    move_to("America/New_York")
    advance(book, FEBRUARY)
    changes.pause(livemode=False, subscription_id=found.pk)
    move_to("UTC")
    advance(book, FEBRUARY + DAY)
    changes.resume(livemode=False, subscription_id=found.pk)
    advance(book, MARCH + 20 * DAY)

    trial_end = START + 14 * DAY
    month_end = FEBRUARY + 14 * DAY + timedelta(hours=5)
    assert spans() == [
        (START, trial_end), (trial_end, FEBRUARY), (FEBRUARY + DAY, month_end),
        (month_end, MARCH + 14 * DAY),
    ]  # fmt: skip


def test_a_trial_over_a_change_of_the_hour_ends_when_the_clock_shows_its_start() -> None:
    """Noon of 1 March to noon of 15 March: the clock went forward on the 8th."""
    noon = local(2026, 3, 1, 12)
    book = sold(fee("31"), now=noon, timezone="America/New_York", trial_days=14)

    found = subscription()

    assert found.trial_ends_at == local(2026, 3, 15, 12) == noon + 14 * DAY - timedelta(hours=1)
    advance(book, local(2026, 4, 15, 12))
    assert spans()[1] == (local(2026, 3, 15, 12), local(2026, 4, 15, 12))
    assert totals() == [31]


def test_a_trial_that_ends_in_an_hour_that_is_skipped_keeps_its_wall_time() -> None:
    """02:30 on 8 March does not exist, and is read as 03:30; later months end at 02:30 again."""
    start = local(2026, 2, 22, 2, 30)
    book = sold(fee("31"), now=start, timezone="America/New_York", trial_days=14)

    found = subscription()

    assert found.trial_ends_at == local(2026, 3, 8, 3, 30)
    advance(book, local(2026, 5, 8, 2, 30))
    assert spans()[1:] == [
        (local(2026, 3, 8, 3, 30), local(2026, 4, 8, 2, 30)),
        (local(2026, 4, 8, 2, 30), local(2026, 5, 8, 2, 30)),
    ]
    assert totals() == [31, 31]


def test_a_start_in_an_hour_that_comes_twice_is_a_whole_period() -> None:
    """The second 01:30 of 1 November; the month ends at 01:30."""
    start = local(2026, 11, 1, 1, 30, fold=1)
    book = sold(fee("31"), now=start, timezone="America/New_York")

    subscription()
    advance(book, local(2026, 12, 1, 1, 30))

    assert spans() == [(start, local(2026, 12, 1, 1, 30))]
    assert totals() == [31]


def test_credits_of_a_plan_live_days_of_the_wall_clock() -> None:
    grant = {"kind": "PROMO", "amount": Decimal(5), "expires_after_days": 14}
    noon = local(2026, 3, 1, 12)
    sold(fee("31"), now=noon, timezone="America/New_York", grants=[grant])

    subscription()

    assert CreditLot.objects.get().expires_at == local(2026, 3, 15, 12)


@pytest.mark.parametrize(
    ("duration", "cycles", "off"),
    [("REPEATING", 3, "148.39"), ("ONCE", None, "48.39")],
)
def test_a_pause_uses_up_no_period_of_a_coupon(duration: str, cycles: int | None, off: str) -> None:
    """50 % of 6.45 and 90.32 are 3.23 and 45.16; then 50 and 50."""
    coupons.create_coupon(
        livemode=False, code="HALF", type="PERCENT", value=Decimal(50), duration=duration,
        cycles=cycles,
    )  # fmt: skip
    book = sold(fee("100"))
    found = subscription(coupon="HALF")
    advance(book, START + 2 * DAY)
    changes.pause(livemode=False, subscription_id=found.pk)
    advance(book, START + 3 * DAY)
    changes.resume(livemode=False, subscription_id=found.pk)
    advance(book, MAY)

    discounts = sum(Invoice.objects.values_list("discount", flat=True), Decimal(0))
    assert discounts == Decimal(off)


@pytest.mark.parametrize("timing", ["ARREARS", "ADVANCE"])
def test_a_period_takes_a_fixed_coupon_once_whatever_its_parts(timing: str) -> None:
    """10 off for 2 periods, paused in January, over all of February, and twice in March."""
    coupons.create_coupon(
        livemode=False, code="TEN", type="FIXED", value=Decimal(10), duration="REPEATING",
        cycles=2, currency="USD",
    )  # fmt: skip
    tokens = {"code": "tokens", "model": "PER_UNIT", "metric": "tokens",
              "terms": {"unit_price": "1"}}  # fmt: skip
    book = sold(fee("310", timing), tokens)
    found = subscription(coupon="TEN")
    for off, on in (
        (START + 5 * DAY, START + 6 * DAY),
        (START + 20 * DAY, MARCH + 2 * DAY),
        (MARCH + 5 * DAY, MARCH + 6 * DAY),
    ):
        advance(book, off)
        changes.pause(livemode=False, subscription_id=found.pk)
        advance(book, on)
        changes.resume(livemode=False, subscription_id=found.pk)
    advance(book, MAY + 31 * DAY)

    assert sum(Invoice.objects.values_list("discount", flat=True), Decimal(0)) == 20


@pytest.mark.parametrize(
    ("timing", "total"),
    # Kept: the fee of 31.00 and all 310 tokens; by time: 10.00 and 100 of them.
    [("ADVANCE", 31 + 0), ("ARREARS", 10 + 100)],
)
def test_cancelled_now_keeps_what_was_paid_for_whole(timing: str, total: int) -> None:
    """Ten of 31 days, 200 tokens at 1.00 of which 310 are included a month."""
    quota = {"code": "calls", "model": "INCLUDED_QUOTA", "metric": "tokens",
             "terms": {"included_quantity": "310", "unit_price": "1"}}  # fmt: skip
    book = sold(fee("31", timing), quota)
    found = subscription()
    advance(book, START + 10 * DAY)
    factories.meter(200, START + 9 * DAY, "use")

    changes.cancel(livemode=False, subscription_id=found.pk, at="NOW")

    assert sum(totals()) == total
    assert verification.verify().ok


def test_a_short_first_cycle_gives_the_same_fraction_of_everything() -> None:
    """17 of 31 days: fee 17, 170 included, 31.01 of credits is 17.00, 9 tokens are 4, once stays.
    A fee of 17 is shared by what the credits sell for: 17 : 3 (of units at 0.75) is 14.45 : 2.55.
    """
    grants = [
        {"kind": "CASH", "amount": Decimal("31.01"), "recurrence": "EVERY_CYCLE"},
        {"kind": "BONUS", "metric": "tokens", "quantity": Decimal(9),
         "recurrence": "EVERY_CYCLE", "ssp_unit_price": Decimal("0.75")},
        {"kind": "PROMO", "amount": Decimal(3), "recurrence": "ONCE"},
    ]  # fmt: skip
    sold(fee("31", "ADVANCE"), now=START + 14 * DAY, grants=grants)

    subscription(anchor_day=1)

    lots = CreditLot.objects.order_by("-face")
    assert [(lot.face, lot.carrying) for lot in lots] == [
        (17, Decimal("14.45")), (4, Decimal("2.55")), (3, 0),
    ]  # fmt: skip
    assert verification.verify().ok


def test_a_grant_is_given_once_a_period_also_when_a_pause_parts_it() -> None:
    """Resumed while it owes, and going on once that is paid: nothing is given twice."""
    grant = {"kind": "PROMO", "amount": Decimal(5), "recurrence": "EVERY_CYCLE"}
    book = sold(fee("62"), billing_mode="PREPAID", grants=[grant])
    found = subscription()
    advance(book, START + 10 * DAY)
    changes.pause(livemode=False, subscription_id=found.pk)
    advance(book, START + 11 * DAY)
    changes.resume(livemode=False, subscription_id=found.pk)
    assert Subscription.objects.get().status == "SUSPENDED"

    factories.top_up("cust_1", "100")

    assert Subscription.objects.get().status == "ACTIVE"
    assert CreditLot.objects.filter(source="PLAN").count() == 1


def test_the_first_fee_after_a_trial_bears_tax() -> None:
    """17.00 and a tenth of it."""
    TaxRate.objects.create(
        livemode=False, country="ES", name="IVA", percent=Decimal(10), valid_from=START
    )
    book = sold(fee("31", "ADVANCE"), trial_days=14)
    customers.update_customer(livemode=False, customer_id="cust_1", changes={"country": "ES"})
    subscription(anchor_day=1)

    advance(book, START + 14 * DAY)

    assert totals() == [Decimal("18.70")]


def test_bought_credits_and_those_of_a_campaign_live_days_of_the_wall_clock() -> None:
    """30 days from noon of 1 March are noon of 31 March, and 14 days noon of the 15th."""
    noon = local(2026, 3, 1, 12)
    book = factories.clocked_customer(now=noon)
    move_to("America/New_York")
    TopUpRule.objects.create(livemode=False, currency="USD", expires_after_days=30)
    factories.metric("tokens")
    campaign = campaigns.running("WELCOME")

    factories.top_up("cust_1", "50")
    with transaction.atomic():
        campaign_grants.grant_credits(
            campaign=campaign, books=[books.lock_book(book_id=book.pk)], cause="test"
        )

    ends = set(CreditLot.objects.values_list("expires_at", flat=True))
    assert ends == {local(2026, 3, 31, 12), local(2026, 3, 15, 12)}
