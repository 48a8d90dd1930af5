"""What happens at one instant of a standing clock: cycles never overlap, and usage counts once."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from aforo.errors import Invalid
from billing.finance import verification
from billing.lifecycle import changes
from billing.models import Invoice, Settlement, Subscription, UsageEvent
from ledger.models import Book
from tests import factories
from tests.factories import FEBRUARY, MARCH, START, advance, meter, subscription
from wallets.models import CreditLot

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
AT = START + 10 * DAY
EACH_AT_1: list[dict[str, Any]] = [
    {"code": "tokens", "model": "PER_UNIT", "metric": "tokens", "terms": {"unit_price": "1"}}
]
FEE_31: list[dict[str, Any]] = [
    {"code": "fee", "model": "FLAT_RATE", "terms": {"flat_fee": "31"}},
    *EACH_AT_1,
]
AHEAD_31: list[dict[str, Any]] = [
    {"code": "fee", "model": "FLAT_RATE", "terms": {"flat_fee": "31"}, "timing": "ADVANCE"},
    *EACH_AT_1,
]


def sold(charges: Any = FEE_31, mode: str = "HYBRID", **plan: Any) -> Book:
    factories.offering(charges=charges, billing_mode=mode, **plan)
    return factories.clocked_customer()


def pause(found: Subscription) -> None:
    changes.pause(livemode=False, subscription_id=found.pk)


def resume(found: Subscription) -> None:
    changes.resume(livemode=False, subscription_id=found.pk)


def cancel(found: Subscription) -> None:
    changes.cancel(livemode=False, subscription_id=found.pk, at="NOW")


def billed() -> Decimal:
    return sum(Invoice.objects.values_list("total", flat=True), Decimal(0))


def test_a_pause_and_a_resume_at_one_instant_change_nothing() -> None:
    """31.00 over the month, the parts being [1, 11) and [11, 1): 10.00 and 21.00."""
    book = sold()
    found = subscription()
    advance(book, AT)

    pause(found)
    resume(found)
    advance(book, MARCH)

    parts = Settlement.objects.order_by("cycle").values_list("starts_at", "ends_at")
    assert list(parts) == [(START, AT), (AT, FEBRUARY), (FEBRUARY, MARCH)]
    assert list(Invoice.objects.order_by("issued_at").values_list("total", flat=True)) == [
        10, 21, 31,
    ]  # fmt: skip
    assert verification.verify().ok


def test_many_changes_at_one_instant_are_taken_in_the_order_in_which_they_come() -> None:
    """1 before, 2 between, 4 between, 8 after: each once, in the cycle that ran when it came."""
    book = sold(EACH_AT_1)
    found = subscription()
    advance(book, AT)

    meter(1, AT)
    pause(found)
    resume(found)
    meter(2, AT)
    pause(found)
    resume(found)
    meter(4, AT)
    pause(found)
    meter(16, AT, "of the pause: nobody's")
    advance(book, AT + DAY)
    resume(found)
    meter(8, AT + DAY)
    advance(book, MARCH)

    done = Settlement.objects.order_by("cycle")
    assert [s.totals["total"] for s in done] == ["1", "2", "4", "8", "0"]
    spans = [(s.starts_at, s.ends_at) for s in done]
    assert spans == [
        (START, AT), (AT, AT), (AT, AT), (AT + DAY, FEBRUARY), (FEBRUARY, MARCH),
    ]  # fmt: skip
    assert verification.verify().ok


@pytest.mark.parametrize("real_time", [False, True])
def test_usage_of_the_instant_of_a_cancellation_is_billed_once(real_time: bool) -> None:
    """100 before the cancellation, 7 between, 20 after: 127, of which the new one bills 27."""
    book = sold(EACH_AT_1)
    factories.top_up("cust_1", "500")
    found = subscription()
    advance(book, AT)

    def use(quantity: int, name: str) -> None:
        if not real_time:
            meter(quantity, AT, name)
            return
        assert factories.use("cust_1", Decimal(quantity), name).status == 200

    use(100, "first")
    cancel(found)
    meter(7, AT, "between")
    subscription()
    use(20, "second")
    advance(book, MARCH)

    totals = Settlement.objects.order_by("sealed_at", "starts_at", "cycle")
    assert [s.totals["total"] for s in totals] == ["100", "27"]
    assert factories.available(book) == 500 - 127
    assert verification.verify().ok


def test_usage_at_the_instant_of_cancel_and_subscribe_is_billed_by_the_later_one() -> None:
    book = sold(EACH_AT_1)
    found = subscription()
    advance(book, AT)

    cancel(found)
    later = subscription()
    meter(100, AT)
    advance(book, MARCH)

    done = Settlement.objects.order_by("sealed_at", "starts_at", "cycle")
    assert [s.totals["total"] for s in done] == ["0", "100"]
    assert [s.subscription_id for s in done] == [found.pk, later.pk]
    assert verification.verify().ok


@pytest.mark.parametrize("mode", ["PREPAID", "HYBRID", "POSTPAID"])
def test_a_start_and_a_cancellation_at_one_instant(mode: str) -> None:
    """The cycle serves no time: nothing of the fee, all of the usage, and its credits are gone."""
    grant = {"kind": "PROMO", "amount": Decimal(5), "recurrence": "EVERY_CYCLE"}
    book = sold(mode=mode, grants=[grant])
    factories.grant("cust_1", "100", "BONUS")
    found = subscription()
    meter(3, START)

    cancel(found)

    done = Settlement.objects.get()
    assert (done.starts_at, done.ends_at, done.totals["total"]) == (START, START, "3")
    assert CreditLot.objects.get(source="PLAN").remaining == 0
    assert factories.available(book) == 100
    assert subscription().status == "ACTIVE"
    advance(book, FEBRUARY)
    assert Settlement.objects.get(subscription__cancelled_at=None).totals["subtotal"] == "31"
    assert verification.verify().ok


def test_a_fee_in_advance_of_no_time_at_all_is_kept_and_earned() -> None:
    sold(AHEAD_31)
    found = subscription()

    cancel(found)

    assert factories.posted("4030") == -31
    assert factories.posted("2120") == 0
    assert verification.verify().ok


def test_a_subscription_that_starts_in_settled_time_counts_what_nobody_has_counted() -> None:
    """Settled to the 11th; 50 on the 12th and of what comes late for the 5th nothing again."""
    book = sold(EACH_AT_1)
    found = subscription()
    advance(book, AT)
    meter(100, START + 2 * DAY)
    cancel(found)
    advance(book, AT + 5 * DAY)
    meter(50, AT + DAY)

    subscription(starts_at=START + DAY)
    advance(book, MARCH)

    assert billed() == 150
    assert verification.verify().ok


def test_a_start_before_what_is_settled_is_refused() -> None:
    book = sold(EACH_AT_1)
    advance(book, START + 2 * DAY)
    found = subscription()
    advance(book, AT)
    cancel(found)
    before = factories.everything(), Subscription.objects.count()

    with pytest.raises(Invalid) as refused:
        subscription(starts_at=START + DAY)

    assert refused.value.errors[0].code == "period_settled"
    assert (factories.everything(), Subscription.objects.count()) == before


def test_the_database_refuses_to_count_usage_twice() -> None:
    """Also in a cycle of another subscription to the same metric."""
    book = sold(EACH_AT_1)
    found = subscription()
    advance(book, AT)
    cancel(found)
    other = subscription()
    advance(book, MARCH)

    with pytest.raises(IntegrityError, match="another one has counted"), transaction.atomic():
        Settlement.objects.filter(subscription=other, cycle=0).update(counted_from=AT)

    assert UsageEvent.objects.count() == 0


def test_what_was_to_end_while_it_was_paused_ends_when_it_is_resumed() -> None:
    """10 of 31 days are 10.00, and nothing follows."""
    book = sold()
    found = subscription()
    advance(book, AT)
    changes.cancel(livemode=False, subscription_id=found.pk, at="PERIOD_END")
    pause(found)
    advance(book, MARCH)

    resume(found)

    assert Subscription.objects.get().status == "CANCELLED"
    advance(book, MARCH + 40 * DAY)
    assert billed() == 10
    assert verification.verify().ok
