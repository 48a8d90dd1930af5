"""Six models in three modes and three ways, lived on a clock, settled, proved.

Everybody has 10,000 promo and 2,000 bonus tokens, and 2.00 promo, 3.00 bonus and 5.00 cash; the
figures are the ones worked by hand in `pipeline/test_matrix`.

Metered, paid in real time and mixed have the same totals and payers, because every lot lives
through the cycle. Where real time legitimately differs:
- PREPAID refuses what is not covered, where metered usage, consumed already, leaves arrears. So
  those who pay in real time have more cash, and pay with it what the metered one owes in the end.
- A cap refuses the whole debit that would pass it; metered usage is cut to the cap when it is
  priced. What fits is sent again.
- A falling price gives nothing back within the cycle; its settlement does
  (docs/decisions.md#d17, #d33).
- Fees and the minimum fall due at the cycle's end, so in real time they cost nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction

from aforo.errors import NotCovered
from aforo.sandbox.models import TestClock
from aforo.sandbox.services import create_clock, now_for
from billing.cycle_end import cycle_settlement
from billing.finance import verification
from billing.invoicing.tax_rates import create_tax_rate
from billing.lifecycle import subscribing
from billing.models import CycleBurn, Settlement, Subscription, UsageEvent
from billing.settlement import usage_burn
from ledger.entries import books as ledger_books
from ledger.models import Book, Posting
from pricing.offerings import coupons
from pricing.terms import Volume, to_json
from tests import factories
from tests.billing.calculation.test_matrix import MODELS, Priced
from tests.factories import FEBRUARY, MARCH, START, advance, meter
from tests.pricing.prices import PLAIN_TIERS

pytestmark = pytest.mark.django_db

D = Decimal
DAY = timedelta(days=1)
DAYS = (3, 12, 25)
MODES = ["PREPAID", "HYBRID", "POSTPAID"]
# How each of three events comes: M is metered, R is paid in real time.
WAYS = {"metered": "MMM", "real": "RRR", "mixed": "MRM"}


def use(key: str, quantity: Decimal, at: datetime) -> None:
    """Pay for usage in real time."""
    name = f"{key} {at.isoformat()} {quantity}"
    factories.use(key, quantity, name, at=at)


def send(key: str, how: str, quantity: Decimal, at: datetime) -> None:
    if how == "M":
        meter(quantity, at, key=key)
    else:
        use(key, quantity, at)


def reach(book: Book, now: datetime) -> None:
    """Advance time to a moment up to which nothing is due."""
    TestClock.objects.filter(pk=book.test_clock_id).update(now=now)  # type: ignore[misc]


def burn(book: Book) -> None:
    """Burn what was metered so far, as the sweep does."""
    with transaction.atomic():
        locked = ledger_books.lock_book(book_id=book.pk)
        usage_burn.burn_through(book=locked, until=now_for(locked))


def subscribed_each_way(mode: str, charges: list[dict[str, Any]], **plan: Any) -> dict[str, Book]:
    """Subscribe a customer for each way, all on one clock."""
    coupon, more = plan.pop("coupon", None), plan.pop("more", None)
    factories.offering(billing_mode=mode, charges=charges, **plan)
    clock, books = create_clock(livemode=False, now=START), {}
    for way in WAYS:
        books[way] = book = factories.customer(way, clock=clock)
        book.customer.country = "ES"
        book.customer.save(update_fields=["country"])
        factories.grant_units(way, "10000")
        factories.grant_units(way, "2000", "BONUS")
        factories.grant(way, "2", "PROMO")
        factories.grant(way, "3", "BONUS")
        factories.top_up(way, "5")
        if more and way != "metered":
            factories.top_up(way, more)
        subscribing.subscribe(
            livemode=False, customer_id=way, offering="tokens_monthly", coupon=coupon
        )
    return books


def bill(book: Book, cycle: int = 0) -> dict[str, Any]:
    """Return the totals of a cycle, after what must always hold."""
    totals: dict[str, Any] = Settlement.objects.get(book=book, cycle=cycle).totals
    assert sum(paid(totals)) == D(totals["total"])
    assert min(paid(totals)) >= 0
    assert D(totals["discount"]) <= D(totals["subtotal"])
    ingested = sum((event.quantity for event in UsageEvent.objects.filter(book=book)), D(0))
    units = sum((D(units["quantity"]) for units in totals["from_units"]), D(0))
    assert units <= ingested
    burns = CycleBurn.objects.filter(subscription__customer=book.pk, cycle=cycle)
    assert sum(burn.quantity for burn in burns) == units + sum(paid(totals)[:3])
    return totals


def paid(totals: dict[str, Any]) -> list[Decimal]:
    """Return promo, bonus, cash, invoice and arrears."""
    wallet = [totals["from_wallet"][kind] for kind in ("PROMO", "BONUS", "CASH")]
    return [D(amount) for amount in (*wallet, totals["to_invoice"], totals["arrears"])]


def accounts(book: Book) -> dict[str, Decimal]:
    """Sum what was posted, by account."""
    sums: dict[str, Decimal] = {}
    for posting in Posting.objects.filter(entry__book=book):
        for account, side in ((posting.debit_id, 1), (posting.credit_id, -1)):
            sums[account] = sums.get(account, D(0)) + side * posting.amount
    return {account: total for account, total in sums.items() if total}


def numbers(row: str) -> list[Decimal]:
    return [D(number) for number in row.split()]


# 27,000 - 12,000 = 15,000, all at .005; at 9,600 of them, all at .008, they were 76.80.
FALLING = Priced(Volume(tiers=PLAIN_TIERS), "27000", "12000")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("model", "subtotal", "payers"),
    [
        # payers in PREPAID, HYBRID, POSTPAID: promo, bonus, cash, invoice, arrears
        ("PER_UNIT", "6", ["2 3 1 0 0", "2 3 1 0 0", "2 3 0 1 0"]),
        ("FLAT_RATE", "49.9", ["2 3 5 0 39.90", "2 3 5 39.90 0", "2 3 0 44.90 0"]),
        ("VOLUME", "80", ["2 3 5 0 70", "2 3 5 70 0", "2 3 0 75 0"]),
        ("FALLING", "75", ["2 3 5 0 65", "2 3 5 65 0", "2 3 0 70 0"]),
        ("GRADUATED", "107", ["2 3 5 0 97", "2 3 5 97 0", "2 3 0 102 0"]),
        ("INCLUDED_QUOTA", "15", ["2 3 5 0 5", "2 3 5 5 0", "2 3 0 10 0"]),
        ("PERCENTAGE", "6.7", ["2 3 1.70 0 0", "2 3 1.70 0 0", "2 3 0 1.70 0"]),
    ],
)
def test_every_model_in_every_mode(model: str, mode: str, subtotal: str, payers: list[str]) -> None:
    priced = {**MODELS, "FALLING": FALLING}[model]
    terms = to_json(priced.terms)
    charge = {"code": "c", "model": model, "metric": "tokens", "terms": terms}
    charge |= {"model": "VOLUME"} if model == "FALLING" else {}
    books = subscribed_each_way(mode, [charge], more="150" if mode == "PREPAID" else None)
    tenth = D(priced.used) / 10
    for turn, (day, tenths) in enumerate(zip(DAYS, (8, 1, 1), strict=True)):
        reach(books["metered"], START + day * DAY)
        for way, hows in WAYS.items():
            send(way, hows[turn], tenths * tenth, START + day * DAY)
    burn(books["metered"])

    advance(books["metered"], FEBRUARY)

    for way, book in books.items():
        expected = numbers(payers[MODES.index(mode)])
        if mode == "PREPAID" and way != "metered":
            *_, cash, invoice, arrears = expected
            expected[2:] = [cash + arrears, invoice, D(0)]
        totals = bill(book)
        assert (totals["subtotal"], totals["discount"], totals["tax"]) == (subtotal, "0", "0")
        assert paid(totals) == expected, way
        units = [(unit["kind"], D(unit["quantity"])) for unit in totals["from_units"]]
        assert units == [("PROMO", 10_000), ("BONUS", 2_000)][: 2 if D(priced.from_units) else 0]
    assert accounts(books["real"]) == accounts(books["mixed"])
    assert mode == "PREPAID" or accounts(books["real"]) == accounts(books["metered"])
    assert verification.verify().ok


PER_UNIT = factories.TOKENS_AT_2_MILLS
CAP = D(13_000)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("variant", "due", "payers"),
    [
        # due: subtotal, discount, tax. 15,000 used, 12,000 paid in units, 3,000 x .002 = 6.00
        ("coupon", "6 0.60 0", ["2 3 0.40 0 0", "2 3 0.40 0 0", "2 3 0 0.40 0"]),
        ("minimum", "20 0 0", ["2 3 5 0 10", "2 3 5 10 0", "2 3 0 15 0"]),
        ("maximum", "4 0 0", ["2 2 0 0 0", "2 2 0 0 0", "2 2 0 0 0"]),
        # Promo lowers the taxed base to 4.00, which holds 0.80; of that, the bonus of 3, for which
        # nothing was paid, holds 0.50 that is not owed.
        ("tax", "6 0 0.30", ["2 3 1.80 0 0", "2 3 1.80 0 0", "2 3 0 1.80 0"]),
        # 13,000 count, 1,000 x .002.
        ("cap", "2 0 0", ["2 0 0 0 0", "2 0 0 0 0", "2 0 0 0 0"]),
    ],
)
def test_variants_of_a_cycle(mode: str, variant: str, due: str, payers: list[str]) -> None:
    plans: dict[str, dict[str, Any]] = {
        "minimum": {"spec": {"minimum_spend": D(20)}},
        "maximum": {"spec": {"maximum_spend": D(4)}},
        "cap": {"spec": {"caps": {"tokens": {"quantity": str(CAP), "beyond": "REFUSED"}}}},
        "coupon": {"coupon": "TEN"},
    }
    if variant == "coupon":
        coupons.create_coupon(
            livemode=False, code="TEN", type="PERCENT", value=D(10), duration="ONCE"
        )
    if variant == "tax":
        create_tax_rate(livemode=False, name="IVA", country="ES", percent=D(20), now=START)
    books = subscribed_each_way(mode, PER_UNIT, **plans.get(variant, {}))
    used = dict.fromkeys(WAYS, D(0))
    for turn, (day, quantity) in enumerate(zip(DAYS, (12_000, 1_500, 1_500), strict=True)):
        reach(books["metered"], START + day * DAY)
        for way, hows in WAYS.items():
            fits = min(D(quantity), CAP - used[way]) if variant == "cap" else D(quantity)
            if hows[turn] == "R" and fits < quantity:
                with pytest.raises(NotCovered, match="hard cap"):
                    use(way, D(quantity), START + day * DAY)
            sent = fits if hows[turn] == "R" else D(quantity)
            if sent > 0:
                send(way, hows[turn], sent, START + day * DAY)
            used[way] += sent
    burn(books["metered"])

    advance(books["metered"], FEBRUARY)

    for way, book in books.items():
        totals = bill(book)
        assert [D(totals[name]) for name in ("subtotal", "discount", "tax")] == numbers(due)
        assert paid(totals) == numbers(payers[MODES.index(mode)]), way
        assert accounts(book) == accounts(books["metered"])
    assert verification.verify().ok


@pytest.mark.parametrize(
    ("mode", "rest"), [("PREPAID", "0 1 1 0 0"), ("HYBRID", "0 1 1 0 0"), ("POSTPAID", "0 1 0 1 0")]
)
def test_a_late_event_is_paid_with_the_next_cycle(mode: str, rest: str) -> None:
    """14,000 in time: 2,000 x .002 = 4: promo 2, bonus 2. 1,000 late, which is metered: 2.00."""
    books = subscribed_each_way(mode, PER_UNIT)
    for way, hows in WAYS.items():
        send(way, hows[0], D(13_000), START)
        send(way, hows[1], D(1_000), START + timedelta(seconds=1))
    advance(books["metered"], FEBRUARY)
    for way in WAYS:
        meter(1_000, START + DAY, key=way)

    advance(books["metered"], MARCH)

    for book in books.values():
        assert paid(bill(book, 0)) == numbers("2 2 0 0 0")
        assert paid(bill(book, 1)) == numbers(rest)
    assert verification.verify().ok


@pytest.mark.parametrize("mode", MODES)
def test_included_quantity_rolls_and_a_trial_is_free(mode: str) -> None:
    """The trial costs nothing, nor units. 1,000 unused roll: 15,000 - 2,000 - 12,000 = 1,000."""
    terms = {"included_quantity": "1000", "unit_price": "0.002", "rollover": {"mode": "ALL"}}
    charge = {"code": "c", "model": "INCLUDED_QUOTA", "metric": "tokens", "terms": terms}
    books = subscribed_each_way(mode, [charge], trial_days=31)
    for way, hows in WAYS.items():
        send(way, hows[1], D(9_000), START)
    advance(books["metered"], MARCH)
    for way, hows in WAYS.items():
        send(way, hows[0], D(14_500), MARCH)
        send(way, hows[1], D(500), MARCH + timedelta(seconds=1))

    advance(books["metered"], datetime(2026, 4, 1, tzinfo=START.tzinfo))

    for book in books.values():
        assert Settlement.objects.get(book=book, cycle=0).totals["from_units"] == []
        assert [paid(bill(book, cycle)) for cycle in range(3)] == [
            numbers(row) for row in ("0 0 0 0 0", "0 0 0 0 0", "2 0 0 0 0")
        ]
    assert verification.verify().ok


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
        meter(number * 1_000, end - DAY, key="cust_1")
        advance(on_time, end)
    TestClock.objects.filter(pk=at_once.test_clock_id).update(now=ends[-1])  # type: ignore[misc]
    for number, end in enumerate(ends, start=1):
        meter(number * 1_000, end - DAY, key="cust_2")

    settled = cycle_settlement.settle_book(book_id=at_once.pk, until=ends[-1], issued_at=ends[-1])

    assert settled == 12
    assert lived(on_time) == lived(at_once)
    assert [end for end, _ in lived(on_time)] == ends
    # 0, 2, 4, ... 22: 132 in all, of which 20 from the wallet.
    sums = [D(totals["total"]) for _, totals in lived(on_time)]
    assert sums == [2 * n for n in range(12)]
    assert sum(D(totals["to_invoice"]) for _, totals in lived(on_time)) == 112
    assert Subscription.objects.get(customer=on_time.pk).cycle == 12
    assert verification.verify().ok
