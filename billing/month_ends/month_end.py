"""A month's end is a due instant of every book with an open cycle (docs/decisions.md#d45).

Credits pay for usage up to it; what they do not cover, and fees in arrears, are accrued, dated
there. (Fees in advance are earned by the day, dated by themselves.) Whoever comes late does it
first, whatever happened since, as long as the month takes entries; repeated for what was received
since, it posts the difference. So neither the hour of the sweep nor the day of the close decides a
month. Debits neither do this nor wait for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef

from aforo import actors
from aforo.database import bulk, joined
from aforo.sandbox.services import now_for
from billing import calculation
from billing.models import (
    MonthEnd,
    Settlement,
    SettlementStatus,
    Subscription,
    SubscriptionStatus,
    UsageEvent,
)
from billing.month_ends import accruals, month_end_burns
from billing.settlement import usage_burn
from billing.settlement.late_usage import Late
from billing.subscriptions import states
from billing.usage import rollup_upkeep
from ledger.entries import books
from ledger.models import Book
from ledger.periods import month_ends
from pricing import catalogue
from pricing.models import BillingMode

MICROSECOND = timedelta(microseconds=1)
# What was received shortly before a month's end was reached may have been in flight then.
IN_FLIGHT = timedelta(hours=1)

Key = tuple[UUID, int, datetime]
# Late usage by subscription and the cycle that will bill it.
LateUsage = Mapping[tuple[UUID, int], Sequence[Late]]
NOT_READ: LateUsage = MappingProxyType({})


def bring_up(*, book_id: int, before: datetime, late_since: datetime | None = None) -> int:
    """Complete every month's end of a customer's open cycles before a moment, in order, each in a
    transaction of its own; return the number of month's ends.

    Those that were reached are repeated where usage was received since, and all of them since
    `late_since`, from when on usage came late.
    """
    cycles = usage_burn.open_cycles(book=Book(pk=book_id), at=before)
    ends = set(month_ends.between(late_since, before)) if late_since is not None else set()
    over = {key: cycle for cycle in cycles for key in _over(cycle, before)}
    reached = _reached(cycles) if over else {}
    ends |= {
        key[-1]
        for key, cycle in over.items()
        if key not in reached or _was_fed(cycle, reached[key])
    }
    if not ends:
        return 0
    book = _read(book_id)
    due = month_ends.open_ones(sorted(ends), livemode=book.livemode)
    for end in due:
        _reach(book, end)
    return len(due)


def _over(cycle: Subscription, before: datetime) -> list[Key]:
    """Return the ends of months in an open cycle before a moment; one that ends then has none."""
    until = min(cycle.current_ends_at, before)
    ends = month_ends.between(cycle.current_starts_at, until)
    return [(cycle.pk, cycle.cycle, end) for end in ends]


def _reached(cycles: Sequence[Subscription]) -> dict[Key, MonthEnd]:
    ids = [cycle.pk for cycle in cycles]
    found = bulk.select_models(MonthEnd, "WHERE t.subscription_id = ANY(%s)", [ids])
    return {(each.subscription_id, each.cycle, each.ends_at): each for each in found}


def _was_fed(cycle: Subscription, reached: MonthEnd) -> bool:
    """Return whether usage of before a month's end was received since it was reached."""
    return UsageEvent.objects.filter(
        book=cycle.customer_id,
        metric__in=catalogue.metrics_of(cycle.version),
        counted_at__gte=cycle.counted_from,
        counted_at__lt=reached.ends_at,
        received_at__gte=reached.reached_at - IN_FLIGHT,
    ).exists()


def reach(*, book_id: int, end: datetime) -> None:
    """Complete a month's end of a customer's open cycles, in a transaction of its own, reached
    before or not.
    """
    _reach(_read(book_id), end)


def _read(book_id: int) -> Book:
    (book,) = joined.select(Book, ["test_clock"], "WHERE t.id = %s", [book_id])
    return book


def _reach(book: Book, end: datetime) -> None:
    counted, came_late = _add_up(book, end=end, limit=end)
    with transaction.atomic():
        book = books.lock_book(book_id=book.pk, exclusive=True)
        reach_locked(book=book, end=end, counted=counted, came_late=came_late)


def add_up_beside(settlement: Settlement) -> tuple[usage_burn.Counted, LateUsage | None]:
    """Add up, before the book is locked, what lapses in a cycle that is settled will need, and, if
    its end is a month's end in other cycles, what that will need: the late usage of these apart.

    Once the cycle is settled, that month's end is completed, before lots roll over and lapse, and
    new ones are granted.
    """
    book, end = settlement.subscription.customer.book, settlement.ends_at
    until = settlement.counted_until
    if _is_beside(book, end):
        return _add_up(book, end=end, limit=until)
    return usage_burn.count_ahead(book_id=book.pk, limit=until), None


def _is_beside(book: Book, end: datetime) -> bool:
    """Return whether a moment is an open month's end in a cycle of the customer."""
    if month_ends.last_before(end) != end:
        return False
    beside = Subscription.objects.filter(
        customer=book.pk,
        status__in=states.RUNNING,
        current_starts_at__lt=end,
        current_ends_at__gt=end,
    )
    return beside.exists() and bool(month_ends.open_ones([end], livemode=book.livemode))


def _add_up(book: Book, *, end: datetime, limit: datetime) -> tuple[usage_burn.Counted, LateUsage]:
    """Add up, before the book is locked, what lapses through a limit and a month's end will need,
    and the late usage. What comes after this counts as if it came after the close.
    """
    # What is burned up to now besides continues from these.
    rollup_upkeep.keep_up_book(book_id=book.pk)
    cycles = _by_end(book)
    over = {usage_burn.part_until(each, end): each for each in cycles if _is_over(each, end)}
    counted = usage_burn.count_ahead(book_id=book.pk, limit=limit, besides=over)
    return counted, {
        (cycle.pk, cycle.cycle): accruals.read_late(subscription=cycle, end=end)
        for cycle in _first_of_each(cycles).values()
    }


def _is_over(cycle: Subscription, end: datetime) -> bool:
    return cycle.current_starts_at < end < cycle.current_ends_at


def _by_end(book: Book) -> list[Subscription]:
    """Return the customer's open cycles, the first to end first."""
    cycles = usage_burn.open_cycles(book=book, at=now_for(book) + MICROSECOND)
    return sorted(cycles, key=lambda each: each.current_ends_at)


def _first_of_each(cycles: Sequence[Subscription]) -> dict[UUID, Subscription]:
    """Return the cycle of each subscription that is settled first: it bills the late usage."""
    return {cycle.pk: cycle for cycle in reversed(cycles)}


@actors.acting(actors.job("month_end"))
def reach_locked(
    *,
    book: Book,
    end: datetime,
    counted: usage_burn.Counted = usage_burn.NOTHING,
    came_late: LateUsage = NOT_READ,
) -> None:
    """Complete a month's end of a customer's open cycles: lapse what is due, burn, accrue. The
    book must be locked.

    What was not added up before is added up here.
    """
    usage_burn.lapse(book=book, until=end, counted=counted)
    cycles, billed = _by_end(book), set[str]()
    first = _first_of_each(cycles)
    for cycle in cycles:
        is_over = _is_over(cycle, end)
        earned = _earned(book, cycle, end, counted, billed) if is_over else accruals.Earned()
        if cycle is first[cycle.pk]:
            late = _late(book, cycle, end, came_late)
            earned = accruals.Earned(earned.usage + late, earned.fees)
        if is_over or earned.usage > 0 or (cycle.pk, cycle.cycle, end) in _reached([cycle]):
            most = accruals.covered(book=book, subscription=cycle, end=end)
            accruals.accrue(book=book, subscription=cycle, end=end, earned=earned.within(most))


def _late(book: Book, cycle: Subscription, end: datetime, came_late: LateUsage) -> Decimal:
    found = came_late.get((cycle.pk, cycle.cycle))
    if found is None:
        found = accruals.read_late(subscription=cycle, end=end)
    return accruals.late(book=book, subscription=cycle, found=found)


def _earned(
    book: Book,
    cycle: Subscription,
    end: datetime,
    counted: usage_burn.Counted,
    billed: set[str],
) -> accruals.Earned:
    """Burn what credits pay of a cycle by a month's end, and return what it has earned besides.

    The overage of debits is of the first cycle in its currency to end: that one will bill it.
    """
    was_there = usage_burn.lived_until(end)
    loaded = usage_burn.load_open(
        book=book,
        subscription=cycle,
        until=end,
        pays=was_there,
        counted=counted,
        was_there=lambda lot: lot.effective_at < end,
    )
    draft = calculation.run(calculation.to_date(loaded))
    if month_end_burns.burn_by(book=book, subscription=cycle, draft=draft, end=end):
        _burn_now(book, cycle)
    earned = accruals.of_cycle(subscription=cycle, loaded=loaded, draft=draft, end=end)
    if cycle.billing_mode == BillingMode.PREPAID or draft.currency in billed:
        return earned
    billed.add(draft.currency)
    debits = accruals.overage(book=book, currency=draft.currency, end=end)
    return accruals.Earned(earned.usage + debits, earned.fees)


def _burn_now(book: Book, cycle: Subscription) -> None:
    """Return what the cycle has burned too much since, when more belongs to the month before."""
    now = now_for(book)
    usage_burn.burn(
        book,
        cycle,
        until=now + MICROSECOND,
        pays=usage_burn.payers(cycle, now),
        may_lower=lambda lot: True,
        counted=usage_burn.NOTHING,
    )


def due_books(*, now: datetime) -> list[int]:
    """Return the books with an open cycle that was not brought up to the last month's end, those on
    a test clock left out.
    """
    end = month_ends.last_before(now)
    reached = MonthEnd.objects.filter(
        subscription=OuterRef("pk"), cycle=OuterRef("cycle"), ends_at=end
    )
    over = Subscription.objects.filter(
        ~Exists(reached),
        status__in=states.RUNNING,
        current_starts_at__lt=end,
        current_ends_at__gt=end,
        customer__book__test_clock=None,
    )
    if not month_ends.open_ones([end], livemode=True):
        over = over.filter(customer__book__livemode=False)
    return sorted(set(over.values_list("customer", flat=True)))


def open_books(*, livemode: bool) -> list[int]:
    """Return the books with an open cycle, or one that waits to be settled."""
    live = Subscription.objects.exclude(status=SubscriptionStatus.CANCELLED)
    waiting = Settlement.objects.filter(status=SettlementStatus.SEALED, book__livemode=livemode)
    return sorted(
        {
            *live.filter(customer__book__livemode=livemode).values_list("customer", flat=True),
            *waiting.values_list("book", flat=True),
        }
    )


def due_on(cycles: Sequence[Subscription], until: datetime) -> list[Key]:
    """Return the month's ends in open cycles, up to a moment, that were not reached yet."""
    over = {key for cycle in cycles for key in _over(cycle, until + MICROSECOND)}
    return sorted(over - _reached(cycles).keys(), key=lambda key: key[-1]) if over else []
