"""Advance a test clock: what would have happened happens, in order, instant by instant."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import F, Q
from django.db.models.functions import Now

from aforo.errors import Conflict, FieldError, Invalid
from aforo.sandbox.models import TestClock
from aforo.sandbox.services import UnknownTestClock, get_clock
from billing.models import Subscription, SubscriptionStatus
from billing.services import milestones, prepayment, settlement, subscriptions, waiting
from ledger.models import Book
from pricing.models import BillingMode
from wallets import services as wallets
from wallets.models import CreditLot, Reservation, ReservationStatus

# Past this an advance answers with how far it has come; repeating it goes on from there.
MAX_SECONDS = 45
# An advance whose process was killed holds its clock no longer than this.
LEASE = timedelta(seconds=2 * MAX_SECONDS)


class ClockBusy(Conflict):
    default_code = "clock_advancing"


@dataclass(frozen=True, slots=True)
class Advanced:
    """How far a clock has come."""

    clock: TestClock
    done: bool


def advance(
    *, clock_id: UUID, livemode: bool, to: datetime, monotonic: Callable[[], float] = time.monotonic
) -> Advanced:
    """Move a clock to `to`, doing what is due at each instant on the way, in order.

    Commits per instant and moves `now` only as far as it has come, so it can be killed and
    repeated. Raises: UnknownTestClock; Invalid when `to` lies behind; ClockBusy while another
    advance of the same clock is under way.
    """
    clock = get_clock(clock_id)
    if livemode:
        raise UnknownTestClock(f"There is no test clock {clock_id}.")
    if to < clock.now:
        raise Invalid([FieldError("/now", "in_the_past", f"The clock is at {clock.now}.")])
    claimed = TestClock.objects.filter(
        Q(advancing_since=None) | Q(advancing_since__lt=Now() - LEASE), pk=clock.pk
    ).update(advancing_since=Now())
    if not claimed:
        raise ClockBusy("Another advance of this clock is under way.")
    deadline = monotonic() + MAX_SECONDS
    try:
        milestones.check_clock(clock=clock)
        while (instant := _next_instant(clock.pk, to)) is not None:
            _run_due(clock.pk, instant)
            if monotonic() > deadline:
                return Advanced(TestClock.objects.get(pk=clock.pk), done=False)
        TestClock.objects.filter(pk=clock.pk).update(now=to)
        _burn_prepaid(clock.pk)
    finally:
        TestClock.objects.filter(pk=clock.pk).update(advancing_since=None)
    return Advanced(TestClock.objects.get(pk=clock.pk), done=True)


def _next_instant(clock_id: UUID, to: datetime) -> datetime | None:
    """Find the earliest moment up to `to` at which a customer of the clock has something due."""
    cycles = Subscription.objects.filter(
        customer__book__test_clock=clock_id, status__in=subscriptions.RUNNING
    ).select_related("version")
    over = list(waiting.settlements().filter(book__test_clock=clock_id))
    due = [waiting.due_at(settled_later) for settled_later in over]
    due += [cycle.current_ends_at for cycle in cycles]
    first_ends, graces = dict[int, datetime](), dict[int, timedelta]()
    for cycle in (*map(waiting.rewound, over), *cycles):
        book, end = cycle.customer_id, cycle.current_ends_at
        first_ends[book] = min(first_ends.get(book, end), end)
        grace = timedelta(hours=cycle.version.lapse_grace_hours)
        graces[book] = max(graces.get(book, grace), grace)
    lapsing = CreditLot.objects.filter(
        book__test_clock=clock_id, remaining__gt=F("held"), expires_at__lte=to, frozen_at=None
    ).values_list("book_id", "expires_at")
    for book, expires_at in lapsing.distinct():
        assert expires_at is not None, "the filter asks for an expiry"
        # A lot that its customer's unsettled cycle holds back falls due with that cycle.
        if book not in first_ends or expires_at < first_ends[book]:
            due.append(expires_at + graces.get(book, timedelta()))
    held = Reservation.objects.filter(
        book__test_clock=clock_id, status=ReservationStatus.HELD, expires_at__lte=to
    )
    due += held.values_list("expires_at", flat=True)
    now = TestClock.objects.get(pk=clock_id).now
    due += wallets.due_on_clock(clock_id=clock_id, now=now)
    return min((moment for moment in due if moment <= to), default=None)


def _run_due(clock_id: UUID, instant: datetime) -> None:
    """Let time reach an instant, then do what is due there for every customer of the clock.

    Killed on the way, the next advance finds what is still due.
    """
    TestClock.objects.filter(pk=clock_id, now__lt=instant).update(now=instant)
    books = list(
        Book.objects.filter(test_clock=clock_id).order_by("pk").values_list("pk", flat=True)
    )
    wallets.resolve_pending(book_ids=books)
    for book_id in books:
        settlement.settle_book(book_id=book_id, until=instant, issued_at=instant)
    wallets.refill_if_low(books)


def _burn_prepaid(clock_id: UUID) -> None:
    """Burn what PREPAID customers metered up to the clock's new now, as the sweep would."""
    prepaid = Subscription.objects.filter(
        customer__book__test_clock=clock_id,
        billing_mode=BillingMode.PREPAID,
        status=SubscriptionStatus.ACTIVE,
    )
    for book_id in sorted(set(prepaid.values_list("customer", flat=True))):
        prepayment.burn_prepaid(book_id=book_id)
