"""Test clocks: advancing one does what falls due on the way, in order, instant by instant."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.db.models import F, Q
from django.db.models.functions import Now

from aforo.errors import Conflict, FieldError, Invalid, InvariantBroken
from aforo.sandbox.models import TestClock
from aforo.sandbox.services import UnknownTestClock, get_clock
from billing.campaigns import milestones
from billing.cycle_end import cycle_settlement, starts
from billing.dunning import reminders
from billing.invoicing import charges
from billing.isolation import Failure, Isolation
from billing.jobs import wallet_alerts
from billing.lifecycle import final_overage
from billing.models import Invoice, InvoiceStatus, Subscription, SubscriptionStatus
from billing.month_ends import month_end
from billing.prepaid import reactivation
from billing.settlement import waiting_cycles
from billing.subscriptions import advance_fees, states
from ledger.models import Book
from pricing.models import BillingMode
from wallets.alerts import thresholds, watching
from wallets.models import CreditLot, Reservation, ReservationStatus
from wallets.top_ups import gateway_work
from wallets.top_ups import refill as wallet_refill

# After this an advance returns its progress; repeating it continues from there.
MAX_SECONDS = 45
# An advance whose process was killed blocks its clock no longer than this.
LEASE = timedelta(seconds=2 * MAX_SECONDS)


class ClockBusy(Conflict):
    """Another request is advancing the test clock.

    Repeat it when that one has answered.
    """

    default_code = "clock_advancing"


@dataclass(frozen=True, slots=True)
class Advanced:
    """The position of a clock, and the customers whose due work failed on the way."""

    clock: TestClock
    done: bool
    failures: tuple[Failure, ...] = ()


class Due(NamedTuple):
    """Something that falls due for a customer of a clock; `what` is the same until it is done."""

    at: datetime
    book_id: int
    what: tuple[object, ...]


def advance(
    *, clock_id: UUID, livemode: bool, to: datetime, monotonic: Callable[[], float] = time.monotonic
) -> Advanced:
    """Move a clock to `to`, doing what is due at each instant on the way, in order.

    Commits per instant and moves `now` only as far as the work is done, so it can be killed and
    repeated. A customer whose due work fails is recorded and left behind, and the clock continues
    with the others; the next advance tries it again. A customer who is busy stops it there, not
    done, so that a repeat misses nothing.

    Raises: UnknownTestClock; Invalid when `to` lies behind; ClockBusy while another advance of the
    same clock is under way.
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
    alone, deadline = Isolation(), monotonic() + MAX_SECONDS
    try:
        milestones.check_clock(clock=clock, alone=alone)
        done = _reach(clock, to, alone, is_late=lambda: monotonic() > deadline)
    finally:
        TestClock.objects.filter(pk=clock.pk).update(advancing_since=None)
    return Advanced(TestClock.objects.get(pk=clock.pk), done, tuple(alone.failures))


def _reach(clock: TestClock, to: datetime, alone: Isolation, is_late: Callable[[], bool]) -> bool:
    """Do what is due up to `to`, then set the clock to it; return whether it got that far."""
    worked = set[Due]()
    while due := _next_due(clock.pk, to, alone):
        if stuck := worked.intersection(due):
            _leave_behind(stuck, alone)
            continue
        worked.update(due)
        _run_due(clock.pk, due[0].at, alone)
        if alone.busy or is_late():
            return False
    TestClock.objects.filter(pk=clock.pk).update(now=to)
    for book_id in final_overage.due_books(clock_id=clock.pk):
        alone.one("overage after the end", book_id, lambda each: final_overage.bill(book_id=each))
    _burn_prepaid(clock.pk, alone)
    for book_id in reminders.lifted_books(clock_id=clock.pk):
        alone.one("dunning", book_id, lambda each: reminders.lift(book_id=each))
    for book_id in advance_fees.due_on_clock(clock_id=clock.pk, now=to):
        alone.one("fees", book_id, lambda each: advance_fees.recognise_due(book_id=each, until=to))
    _watch(Book.objects.filter(test_clock=clock.pk).values_list("pk", flat=True), alone)
    return not alone.busy


def _leave_behind(stuck: Iterable[Due], alone: Isolation) -> None:
    """Record the customers whose due work was done but is due as before, as it would be for
    ever.
    """
    for due in sorted(stuck, key=lambda one: one.book_id):
        if due.book_id not in alone.failed:
            detail = f"What is due at {due.at.isoformat()} stays due: {due.what[0]}."
            alone.note("test clock", InvariantBroken(detail), due.book_id)


def _next_due(clock_id: UUID, to: datetime, alone: Isolation) -> list[Due]:
    """Return what is due first up to `to`, for the customers who are not left behind."""
    due = [
        one
        for one in _everything_due(clock_id, to)
        if one.at <= to and one.book_id not in alone.failed
    ]
    first = min((one.at for one in due), default=None)
    return [one for one in due if one.at == first]


def _everything_due(clock_id: UUID, to: datetime) -> Iterator[Due]:
    cycles = Subscription.objects.filter(
        customer__book__test_clock=clock_id, status__in=states.RUNNING
    ).select_related("version")
    over = list(waiting_cycles.settlements().filter(book__test_clock=clock_id))
    for left in over:
        yield Due(waiting_cycles.due_at(left), left.book_id, ("settlement", left.pk))
    first_ends, graces = dict[int, datetime](), dict[int, timedelta]()
    open_ones = [*map(waiting_cycles.rewound, over), *cycles]
    owners = {cycle.pk: cycle.customer_id for cycle in open_ones}
    yield from _starts(clock_id)
    for subscription, number, end in month_end.due_on(open_ones, to):
        yield Due(end, owners[subscription], ("month end", subscription, number, end))
    for cycle in cycles:
        ended = ("cycle", cycle.pk, cycle.cycle, cycle.current_ends_at)
        yield Due(cycle.current_ends_at, cycle.customer_id, ended)
    for cycle in open_ones:
        book, end = cycle.customer_id, cycle.current_ends_at
        first_ends[book] = min(first_ends.get(book, end), end)
        grace = timedelta(hours=cycle.version.lapse_grace_hours)
        graces[book] = max(graces.get(book, grace), grace)
    # A lapse that the customer's unsettled cycle delays falls due with that cycle.
    for expires_at, due in (*_lots(clock_id, to, graces), *_holds(clock_id, to)):
        if due.book_id not in first_ends or expires_at < first_ends[due.book_id]:
            yield due
    drafts = Invoice.objects.filter(
        customer__book__test_clock=clock_id, status=InvoiceStatus.DRAFT, finalizes_at__lte=to
    )
    for draft, book, at in drafts.values_list("pk", "customer", "finalizes_at"):
        assert at is not None, "the filter asks for it"
        yield Due(at, book, ("draft", draft))
    now = TestClock.objects.get(pk=clock_id).now
    yield from (Due(*one) for one in wallet_refill.due_on_clock(clock_id=clock_id, now=now))
    yield from (Due(*one) for one in gateway_work.due_on_clock(clock_id=clock_id))
    yield from (Due(*one) for one in charges.due_on_clock(clock_id=clock_id))
    yield from (Due(*one) for one in reminders.due_on_clock(clock_id=clock_id, to=to))
    yield from (Due(*one) for one in watching.due_on_clock(clock_id=clock_id, now=now, to=to))


def _starts(clock_id: UUID) -> Iterator[Due]:
    """Return the starts that were set for later."""
    for start in Subscription.objects.filter(starts.WAITING, customer__book__test_clock=clock_id):
        yield Due(start.starts_at, start.customer_id, ("start", start.pk))


def _lots(
    clock_id: UUID, to: datetime, graces: Mapping[int, timedelta]
) -> Iterator[tuple[datetime, Due]]:
    """Return the expiries of lots, and the due work of each, after its grace."""
    lapsing = CreditLot.objects.filter(
        book__test_clock=clock_id, remaining__gt=F("held"), expires_at__lte=to, frozen_at=None
    ).values_list("book_id", "expires_at")
    for book, expires_at in lapsing.distinct():
        assert expires_at is not None, "the filter asks for an expiry"
        at = expires_at + graces.get(book, timedelta())
        yield expires_at, Due(at, book, ("lots", expires_at))


def _holds(clock_id: UUID, to: datetime) -> Iterator[tuple[datetime, Due]]:
    """Return the expiries of holds, and the due work of each."""
    held = Reservation.objects.filter(
        book__test_clock=clock_id, status=ReservationStatus.HELD, expires_at__lte=to
    ).values_list("book_id", "expires_at", "pk")
    for book, expires_at, reservation in held:
        yield expires_at, Due(expires_at, book, ("hold", reservation))


def _charge(book_id: int) -> int:
    return charges.collect(book_id=book_id)


def _run_due(clock_id: UUID, instant: datetime, alone: Isolation) -> None:
    """Move the clock to an instant, then do what is due there for every customer of the clock, each
    alone.

    Killed on the way, the next advance finds what is still due.
    """
    TestClock.objects.filter(pk=clock_id, now__lt=instant).update(now=instant)
    books = Book.objects.filter(test_clock=clock_id).exclude(pk__in=alone.failed).order_by("pk")
    ids = list(books.values_list("pk", flat=True))

    def settle(book_id: int) -> int:
        return cycle_settlement.settle_book(book_id=book_id, until=instant, issued_at=instant)

    def pay(book_id: int) -> int:
        return gateway_work.ask(book_ids=[book_id])

    def refill(book_id: int) -> int:
        return wallet_refill.refill_if_low([book_id])

    def remind(book_id: int) -> int:
        return reminders.remind(book_id=book_id)

    steps = (
        ("payments", pay), ("settlement", settle), ("invoice charges", _charge),
        ("refills", refill), ("dunning", remind),
    )  # fmt: skip
    for step, do in steps:
        for book_id in ids:
            if book_id not in alone.failed:
                alone.one(step, book_id, do)
    _watch(ids, alone)


def _watch(book_ids: Iterable[int], alone: Isolation) -> None:
    """Write what alerts have been crossed or are over."""
    for book_id in sorted({*book_ids}.intersection(thresholds.watched_books()) - alone.failed):
        alone.one("alerts", book_id, lambda each: wallet_alerts.watch(book_id=each))


def _burn_prepaid(clock_id: UUID, alone: Isolation) -> None:
    """Burn the metered usage of PREPAID customers up to the clock's new now, as the sweep would."""
    prepaid = Subscription.objects.filter(
        customer__book__test_clock=clock_id,
        billing_mode=BillingMode.PREPAID,
        status=SubscriptionStatus.ACTIVE,
    )
    for book_id in sorted(set(prepaid.values_list("customer", flat=True)) - alone.failed):
        alone.one("prepaid burns", book_id, lambda each: reactivation.burn_prepaid(book_id=each))
