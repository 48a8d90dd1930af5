"""Six models in three modes, lived: metered on a clock, burned on the way, settled, proved.

Everybody has 10,000 promo and 2,000 bonus tokens, and 2.00 promo, 3.00 bonus and 5.00 cash; the
figures are the ones worked by hand in `pipeline/test_matrix`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from aforo.sandbox.models import TestClock
from billing.models import Settlement, Subscription, UsageEvent
from billing.services import burning, clocks, ingest, proof, settlement, subscriptions
from billing.services.taxes import create_tax_rate
from ledger import services as ledger
from ledger.models import Book
from pricing import services as pricing
from pricing.terms import to_json
from tests import factories
from tests.billing.pipeline.test_matrix import MODELS
from tests.factories import FEBRUARY, MARCH, START

pytestmark = pytest.mark.django_db

D = Decimal
DAY = timedelta(days=1)
MODES = ["PREPAID", "HYBRID", "POSTPAID"]


def advance(book: Book, to: datetime) -> None:
    assert book.test_clock_id is not None
    assert clocks.advance(clock_id=book.test_clock_id, livemode=False, to=to).done


def meter(key: str, quantity: object, at: datetime, name: str = "") -> None:
    event = factories.event(key, quantity, f"{key} {name or at.isoformat()}", at)
    outcome = ingest.ingest(livemode=False, events=[event], received_at=timezone.now())
    assert outcome.accepted == 1, outcome.errors


def burn(book: Book, until: datetime) -> None:
    with transaction.atomic():
        burning.burn_through(book=ledger.lock_book(book_id=book.pk), until=until)


def subscribed(mode: str, charges: list[dict[str, Any]], **plan: Any) -> Book:
    coupon = plan.pop("coupon", None)
    factories.offering(billing_mode=mode, charges=charges, **plan)
    book = factories.clocked_customer()
    book.customer.country = "ES"
    book.customer.save(update_fields=["country"])
    factories.grant_units("cust_1", "10000")
    factories.grant_units("cust_1", "2000", "BONUS")
    factories.grant("cust_1", "2", "PROMO")
    factories.grant("cust_1", "3", "BONUS")
    factories.top_up("cust_1", "5")
    subscriptions.subscribe(
        livemode=False, customer_id="cust_1", offering="tokens_monthly", coupon=coupon
    )
    return book


def paid(cycle: int = 0) -> list[Decimal]:
    """Give promo, bonus, cash, invoice and arrears of a cycle, after what must always hold."""
    totals = Settlement.objects.get(cycle=cycle).totals
    wallet = [totals["from_wallet"][kind] for kind in ("PROMO", "BONUS", "CASH")]
    amounts = [D(amount) for amount in (*wallet, totals["to_invoice"], totals["arrears"])]
    assert sum(amounts) == D(totals["total"])
    assert min(amounts) >= 0
    assert D(totals["discount"]) <= D(totals["subtotal"])
    return amounts


def numbers(row: str) -> list[Decimal]:
    return [D(number) for number in row.split()]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("model", "subtotal", "payers"),
    [
        # payers in PREPAID, HYBRID, POSTPAID: promo, bonus, cash, invoice, arrears
        ("PER_UNIT", "6", ["2 3 1 0 0", "2 3 1 0 0", "2 3 0 1 0"]),
        ("FLAT_RATE", "49.9", ["2 3 5 0 39.90", "2 3 5 39.90 0", "2 3 0 44.90 0"]),
        ("VOLUME", "80", ["2 3 5 0 70", "2 3 5 70 0", "2 3 0 75 0"]),
        ("GRADUATED", "107", ["2 3 5 0 97", "2 3 5 97 0", "2 3 0 102 0"]),
        ("INCLUDED_QUOTA", "15", ["2 3 5 0 5", "2 3 5 5 0", "2 3 0 10 0"]),
        ("PERCENTAGE", "6.7", ["2 3 1.70 0 0", "2 3 1.70 0 0", "2 3 0 1.70 0"]),
    ],
)
def test_every_model_in_every_mode(model: str, mode: str, subtotal: str, payers: list[str]) -> None:
    priced = MODELS[model]
    charge = {"code": "c", "model": model, "metric": "tokens", "terms": to_json(priced.terms)}
    book = subscribed(mode, [charge])
    # Three events, the first two of a third each.
    third = (D(priced.used) / 3).quantize(D(1))
    for day, quantity in ((3, third), (12, third), (25, D(priced.used) - 2 * third)):
        advance(book, START + day * DAY)
        meter("cust_1", quantity, START + day * DAY)
        burn(book, START + day * DAY)

    advance(book, FEBRUARY)

    totals = Settlement.objects.get().totals
    assert totals["subtotal"] == subtotal
    assert paid() == numbers(payers[MODES.index(mode)])
    units = sum((D(unit["quantity"]) for unit in totals["from_units"]), D(0))
    assert units == D(priced.from_units)
    assert units <= sum((event.quantity for event in UsageEvent.objects.all()), D(0))
    assert proof.verify().ok


PER_UNIT = factories.TOKENS_AT_2_MILLS


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("variant", "bill", "payers"),
    [
        # bill: subtotal, discount, tax. 15,000 used, 12,000 paid in units, 3,000 x .002 = 6.00
        ("coupon", "6 0.60 0", ["2 3 0.40 0 0", "2 3 0.40 0 0", "2 3 0 0.40 0"]),
        ("minimum", "20 0 0", ["2 3 5 0 10", "2 3 5 10 0", "2 3 0 15 0"]),
        ("maximum", "4 0 0", ["2 2 0 0 0", "2 2 0 0 0", "2 2 0 0 0"]),
        # Promo lowers the taxed base to 4.00.
        ("tax", "6 0 0.80", ["2 3 1.80 0 0", "2 3 1.80 0 0", "2 3 0 1.80 0"]),
        # 13,000 count, 1,000 x .002.
        ("cap", "2 0 0", ["2 0 0 0 0", "2 0 0 0 0", "2 0 0 0 0"]),
    ],
)
def test_variants_of_a_cycle(mode: str, variant: str, bill: str, payers: list[str]) -> None:
    plans: dict[str, dict[str, Any]] = {
        "minimum": {"wording": {"minimum_spend": D(20)}},
        "maximum": {"wording": {"maximum_spend": D(4)}},
        "cap": {"wording": {"caps": {"tokens": {"quantity": "13000", "beyond": "REFUSED"}}}},
        "coupon": {"coupon": "TEN"},
    }
    if variant == "coupon":
        pricing.create_coupon(
            livemode=False, code="TEN", type="PERCENT", value=D(10), duration="ONCE"
        )
    if variant == "tax":
        create_tax_rate(livemode=False, name="IVA", country="ES", percent=D(20), now=START)
    book = subscribed(mode, PER_UNIT, **plans.get(variant, {}))
    for day in (3, 12, 25):
        advance(book, START + day * DAY)
        meter("cust_1", 5_000, START + day * DAY)
        burn(book, START + day * DAY)

    advance(book, FEBRUARY)

    totals = Settlement.objects.get().totals
    assert [D(totals[name]) for name in ("subtotal", "discount", "tax")] == numbers(bill)
    assert paid() == numbers(payers[MODES.index(mode)])
    assert proof.verify().ok


@pytest.mark.parametrize(
    ("mode", "rest"), [("PREPAID", "0 1 1 0 0"), ("HYBRID", "0 1 1 0 0"), ("POSTPAID", "0 1 0 1 0")]
)
def test_a_late_event_is_paid_with_the_next_cycle(mode: str, rest: str) -> None:
    """14,000 in time: 2,000 x .002 = 4: promo 2, bonus 2. 1,000 late: 2.00."""
    book = subscribed(mode, PER_UNIT)
    meter("cust_1", 14_000, START)
    advance(book, FEBRUARY)
    meter("cust_1", 1_000, START + DAY)

    advance(book, MARCH)

    assert paid(0) == numbers("2 2 0 0 0")
    assert paid(1) == numbers(rest)
    assert proof.verify().ok


@pytest.mark.parametrize("mode", MODES)
def test_included_quantity_rolls_and_a_trial_is_free(mode: str) -> None:
    """The trial costs nothing, nor units. 1,000 unused roll: 15,000 - 2,000 - 12,000 = 1,000."""
    terms = {"included_quantity": "1000", "unit_price": "0.002", "rollover": {"mode": "ALL"}}
    charge = {"code": "c", "model": "INCLUDED_QUOTA", "metric": "tokens", "terms": terms}
    book = subscribed(mode, [charge], trial_days=31)
    meter("cust_1", 9_000, START)
    advance(book, MARCH)
    meter("cust_1", 15_000, MARCH)

    advance(book, datetime(2026, 4, 1, tzinfo=START.tzinfo))

    assert Settlement.objects.get(cycle=0).totals["from_units"] == []
    assert [paid(cycle) for cycle in range(3)] == [
        numbers(row) for row in ("0 0 0 0 0", "0 0 0 0 0", "2 0 0 0 0")
    ]
    assert proof.verify().ok


ANCHOR = datetime(2026, 1, 31, 9, tzinfo=START.tzinfo)
# 10:00 in Madrid, at UTC+2 from the last Sunday of March to that of October.
BOUNDS = [
    (2, 28, 9), (3, 31, 8), (4, 30, 8), (5, 31, 8), (6, 30, 8), (7, 31, 8), (8, 31, 8),
    (9, 30, 8), (10, 31, 9), (11, 30, 9), (12, 31, 9), (1, 31, 9),
]  # fmt: skip


def monthly(key: str) -> Book:
    book = factories.clocked_customer(key, now=ANCHOR)
    book.customer.timezone = "Europe/Madrid"
    book.customer.save(update_fields=["timezone"])
    factories.top_up(key, "20")
    factories.subscription(key)
    return book


def lived(book: Book) -> list[tuple[datetime, dict[str, Any]]]:
    done = Settlement.objects.filter(book=book).order_by("cycle")
    return [(each.ends_at, each.totals) for each in done]


def test_a_year_on_a_clock_equals_twelve_single_settlements() -> None:
    """Month by month on one clock; on the other, nothing is done for a year, then all of it."""
    grant = {"kind": "PROMO", "metric": "tokens", "quantity": D(1_000),
             "recurrence": "EVERY_CYCLE", "expires_at_cycle_end": True}  # fmt: skip
    factories.offering(grants=[grant])
    on_time, at_once = monthly("cust_1"), monthly("cust_2")
    ends = [
        datetime(2027 if month == 1 else 2026, month, day, hour, tzinfo=START.tzinfo)
        for month, day, hour in BOUNDS
    ]
    for number, end in enumerate(ends, start=1):
        advance(on_time, end - DAY)
        meter("cust_1", number * 1_000, end - DAY)
        advance(on_time, end)
    TestClock.objects.filter(pk=at_once.test_clock_id).update(now=ends[-1])  # type: ignore[misc]
    for number, end in enumerate(ends, start=1):
        meter("cust_2", number * 1_000, end - DAY)

    settled = settlement.settle_book(book_id=at_once.pk, until=ends[-1], issued_at=ends[-1])

    assert settled == 12
    assert lived(on_time) == lived(at_once)
    assert [end for end, _ in lived(on_time)] == ends
    # 0, 2, 4, ... 22: 132 in all, of which 20 from the wallet.
    sums = [D(totals["total"]) for _, totals in lived(on_time)]
    assert sums == [2 * n for n in range(12)]
    assert sum(D(totals["to_invoice"]) for _, totals in lived(on_time)) == 112
    assert Subscription.objects.get(customer=on_time.pk).cycle == 12
    assert proof.verify().ok
