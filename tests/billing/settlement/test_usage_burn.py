"""Credits pay for usage of their lifetime, whenever the sweep runs
(docs/decisions.md#d16, #d26).
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction

from billing.cycle_end import cycle_settlement
from billing.finance import verification
from billing.invoicing.tax_rates import create_tax_rate
from billing.models import CycleBurn, Settlement, UsageEvent
from billing.realtime import pending_usage
from billing.settlement import usage_burn
from ledger.entries import books
from ledger.models import Book, Entry, Posting
from tests import factories
from tests.billing.settlement.usage_burns import DAY, DAY_14, balances, moves, totals
from tests.factories import FEBRUARY, START, advance, meter, set_clock, subscribed
from wallets.models import CreditLot
from wallets.top_ups import sales

pytestmark = pytest.mark.django_db
TWO_WEEKS_FREE = [
    {"kind": "PROMO", "metric": "tokens", "quantity": Decimal(10_000), "recurrence": "ONCE",
     "expires_after_days": 14},
]  # fmt: skip


def test_free_tokens_pay_for_their_two_weeks_and_only_the_rest_lapses() -> None:
    """6,000 on day 5, 6,000 on day 20 at .002: 4,000 lapse, the cycle bills 12.00
    (docs/accounting.md#lifetime).
    """
    book = subscribed(grants=TWO_WEEKS_FREE)
    advance(book, START + 5 * DAY)
    meter(6_000, START + 5 * DAY)
    advance(book, START + 20 * DAY)

    lot = CreditLot.objects.get()
    assert moves(lot) == [("GRANT", 10_000), ("BURN", 6_000), ("EXPIRE", 4_000)]
    burned = Entry.objects.get(event="USAGE_BURNED")
    assert burned.occurred_at == DAY_14
    meter(6_000, START + 20 * DAY)
    advance(book, FEBRUARY)

    assert totals()["from_units"] == [{"metric": "tokens", "kind": "PROMO", "quantity": "6000"}]
    assert (totals()["total"], totals()["to_invoice"]) == ("12", "12")
    assert moves(lot) == [("GRANT", 10_000), ("BURN", 6_000), ("EXPIRE", 4_000)]
    assert verification.verify().ok


@pytest.mark.parametrize("mode", ["PREPAID", "HYBRID", "POSTPAID"])
def test_promo_money_pays_for_its_lifetime_too(mode: str) -> None:
    """20.00 promo to day 14, 12.00 used by then and 12.00 after: 12 pay, 8 lapse, 12 are left."""
    book = subscribed(mode)
    factories.grant("cust_1", "20", "PROMO", expires_at=DAY_14)
    advance(book, START + 5 * DAY)
    meter(6_000, START + 5 * DAY)
    advance(book, START + 20 * DAY)
    meter(6_000, START + 20 * DAY)

    advance(book, FEBRUARY)

    assert totals()["total"] == "24"
    assert totals()["from_wallet"] == {"PROMO": "12", "BONUS": "0", "CASH": "0"}
    rest = ("0", "12") if mode == "PREPAID" else ("12", "0")
    assert (totals()["to_invoice"], totals()["arrears"]) == rest
    assert CycleBurn.objects.get().quantity == 12
    assert verification.verify().ok


def test_two_lots_that_lapse_on_different_days_each_pay_for_their_own() -> None:
    """5,000 to day 10 and 5,000 to day 20; 6,000 used by day 9, 2,000 by day 19, 1,000 after.

    Day 10 burns 5,000 + 1,000; day 20 burns 2,000 and 2,000 lapse; 1,000 x .002 are billed.
    """
    book = subscribed()
    factories.grant_units("cust_1", "5000", expires_at=START + 10 * DAY)
    factories.grant_units("cust_1", "5000", kind="BONUS", expires_at=START + 20 * DAY)
    for day, quantity in ((9, 6_000), (19, 2_000), (25, 1_000)):
        advance(book, START + day * DAY)
        meter(quantity, START + day * DAY)
    advance(book, FEBRUARY)

    first, second = CreditLot.objects.order_by("expires_at")
    assert moves(first) == [("GRANT", 5_000), ("BURN", 5_000)]
    assert moves(second) == [
        ("GRANT", 5_000), ("BURN", 1_000), ("BURN", 2_000), ("EXPIRE", 2_000),
    ]  # fmt: skip
    assert totals()["total"] == "2"
    assert verification.verify().ok


def test_a_lot_that_lapses_at_the_period_end_pays_for_the_period_once() -> None:
    book = subscribed()
    factories.grant_units("cust_1", "5000", expires_at=FEBRUARY)
    meter(3_000, START)

    advance(book, FEBRUARY)

    assert moves(CreditLot.objects.get()) == [
        ("GRANT", 5_000), ("BURN", 3_000), ("EXPIRE", 2_000),
    ]  # fmt: skip
    assert not Entry.objects.filter(event="USAGE_BURNED").exists()
    assert totals()["total"] == "0"


def test_usage_that_arrives_after_the_lapse_does_not_revive_the_lot() -> None:
    book = subscribed(grants=TWO_WEEKS_FREE)
    advance(book, DAY_14)
    meter(1_000, START + 5 * DAY)

    advance(book, FEBRUARY)

    assert moves(CreditLot.objects.get()) == [("GRANT", 10_000), ("EXPIRE", 10_000)]
    assert totals()["total"] == "2"


def test_a_lapse_grace_waits_for_usage_of_the_lifetime() -> None:
    """Two hours of grace: usage received an hour after the lapse counts, three hours not."""
    book = subscribed(grants=TWO_WEEKS_FREE, spec={"lapse_grace_hours": 2})
    advance(book, DAY_14 + timedelta(hours=1))
    meter(1_000, START + 5 * DAY, "in grace")
    meter(500, DAY_14, "after the lifetime")
    advance(book, DAY_14 + timedelta(hours=3))
    lot = CreditLot.objects.get()
    assert moves(lot) == [("GRANT", 10_000), ("BURN", 1_000), ("EXPIRE", 9_000)]
    meter(300, START + 6 * DAY, "too late")

    advance(book, FEBRUARY)

    assert totals()["total"] == "1.6"
    assert UsageEvent.objects.get(key="in grace").received_at == DAY_14 + timedelta(hours=1)


def test_a_sweep_that_comes_late_or_twice_changes_nothing() -> None:
    """Usage after the lapse, and a lot granted after it, stay out of a lapse that is swept late."""
    book = subscribed(grants=TWO_WEEKS_FREE)
    set_clock(book, START + 5 * DAY)
    meter(6_000, START + 5 * DAY)
    set_clock(book, START + 20 * DAY)
    meter(6_000, START + 13 * DAY, "received after the lapse")
    meter(6_000, START + 20 * DAY)
    factories.grant_units("cust_1", "100", priority=1)

    for _ in range(2):
        with transaction.atomic():
            locked = books.lock_book(book_id=book.pk)
            usage_burn.lapse(book=locked, until=START + 20 * DAY)

    free = CreditLot.objects.get(source="PLAN")
    assert moves(free) == [("GRANT", 10_000), ("BURN", 6_000), ("EXPIRE", 4_000)]
    assert moves(CreditLot.objects.get(source="MANUAL")) == [("GRANT", 100)]
    assert Entry.objects.filter(event="USAGE_BURNED").count() == 1
    advance(book, FEBRUARY)
    # 18,000 used, 6,000 + 100 from units.
    assert totals()["total"] == "23.8"
    assert verification.verify().ok


def test_a_cycle_that_settles_late_lets_what_lapsed_within_it_pay_first() -> None:
    book = subscribed(grants=TWO_WEEKS_FREE)
    set_clock(book, START + 5 * DAY)
    meter(6_000, START + 5 * DAY)
    set_clock(book, FEBRUARY + DAY)

    cycle_settlement.settle_book(book_id=book.pk, until=FEBRUARY + DAY, issued_at=FEBRUARY + DAY)

    assert totals()["total"] == "0"
    assert moves(CreditLot.objects.get()) == [
        ("GRANT", 10_000), ("BURN", 6_000), ("EXPIRE", 4_000),
    ]  # fmt: skip


def live_a_month(key: str, burned_on: set[int]) -> dict[str, Any]:
    """Run January; burn through on some days beside what is due. Return where it ends."""
    book = factories.clocked_customer(key)
    book.customer.country = "ES"
    book.customer.save(update_fields=["country"])
    factories.subscription(key)
    factories.grant(key, "6", "PROMO", expires_at=START + 10 * DAY)
    factories.top_up(key, "50")
    for day in range(1, 31):
        advance(book, START + day * DAY)
        if day == 12:
            factories.grant(key, "5", "PROMO", name=f"late-{key}")
        if day in {3, 8, 15, 29}:
            meter(7_500, START + day * DAY, key=key)
        if day in burned_on:
            with transaction.atomic():
                locked = books.lock_book(book_id=book.pk)
                usage_burn.burn_through(book=locked, until=START + day * DAY)
    advance(book, FEBRUARY)
    lots = CreditLot.objects.filter(book=book).order_by("granted_at", "face")
    return {
        "totals": Settlement.objects.get(book=book).totals,
        "lots": [(lot.remaining, lot.carrying_remaining) for lot in lots],
        "accounts": accounts(book),
    }


def accounts(book: Book) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = {}
    for posting in Posting.objects.filter(entry__book=book):
        for account, side in ((posting.debit_id, 1), (posting.credit_id, -1)):
            sums[account] = sums.get(account, Decimal(0)) + side * posting.amount
    return sums


@pytest.mark.parametrize("seed", range(6))
def test_what_a_cycle_ends_with_does_not_depend_on_when_it_was_burned(seed: int) -> None:
    """One customer is burned through on odd days, one only when something is due.

    60.00 used, 30.00 of it by day 8, taxed at 20 %. Promo 6 to day 10, cash 50, promo 5 from day
    12. Promo pays 11 of 60: tax 9.80, total 69.80, cash 50, invoice 8.80.
    """
    create_tax_rate(livemode=False, name="VAT", country="ES", percent=Decimal(20), now=START)
    factories.offering()
    days = random.Random(seed).sample(range(1, 31), 12)

    often, once = live_a_month("cust_1", set(days)), live_a_month("cust_2", set())

    assert often == once
    assert once["totals"]["from_wallet"] == {"PROMO": "11", "BONUS": "0", "CASH": "50"}
    assert (once["totals"]["tax"], once["totals"]["to_invoice"]) == ("9.8", "8.8")
    assert verification.verify().ok


def test_what_is_burned_is_no_longer_pending() -> None:
    book = subscribed()
    factories.grant_units("cust_1", "1000")
    factories.top_up("cust_1", "50")
    advance(book, START + DAY)
    meter(3_000, START + DAY)
    assert pending_usage.pending(book=book, now=START + DAY) == {"tokens": 1_000, "USD": 4}

    with transaction.atomic():
        locked = books.lock_book(book_id=book.pk)
        usage_burn.burn_through(book=locked, until=START + DAY)

    assert pending_usage.pending(book=book, now=START + DAY) == {"tokens": 0, "USD": 0}
    assert factories.available(book) == 46


PEAK = [
    {"code": "seats", "model": "PER_UNIT", "metric": "seats", "terms": {"unit_price": "1"}},
]


def seats(quantity: int, day: int) -> None:
    meter(quantity, START + day * DAY, metric="seats")


@pytest.mark.parametrize(("bought", "left"), [(True, "6"), (False, "0")])
def test_what_returns_to_a_lapsed_lot_lives_on_when_it_was_paid_and_lapses_when_not(
    bought: bool, left: str
) -> None:
    """10 seats on day 5, 4 on day 20 (the latest counts): day 14 burns 10, the end gives 6 back."""
    factories.metric("seats", aggregation="LATEST")
    book = subscribed(charges=PEAK)
    if bought:
        sales.top_up(
            livemode=False, customer_id="cust_1", key="t", amount=Decimal(30), currency="USD",
            expires_at=DAY_14,
        )  # fmt: skip
    else:
        factories.grant("cust_1", "30", "PROMO", expires_at=DAY_14)
    advance(book, START + 5 * DAY)
    seats(10, 5)
    advance(book, START + 20 * DAY)
    seats(4, 20)

    advance(book, FEBRUARY)

    lot = CreditLot.objects.get()
    assert totals()["total"] == "4"
    assert lot.remaining == Decimal(left)
    back = [("BURN", 10), ("EXPIRE", 20), ("REVERSE", 6)]
    assert moves(lot)[1:] == (back if bought else [*back, ("EXPIRE", 6)])
    assert lot.expires_at == (datetime(2026, 3, 1, tzinfo=START.tzinfo) if bought else DAY_14)
    if bought:
        # 30 sold: 4 used, 20 lapsed, 6 still owed.
        found = balances()
        assert (found["4000"], found["4200"], found["2100"]) == (4, 20, 6)
    assert verification.verify().ok
