"""Burns of metered usage: credits pay for the usage of their lifetime, before a lot lapses, and for
PREPAID every few minutes (docs/decisions.md#d16, #d26).

The open cycle is priced up to a moment by the settlement's own stages, as if nothing had been
burned yet, and the burns are adjusted to the result. Only burns of lots that have lapsed stay. So
the final burns of a cycle depend on usage, lots and their lapses, never on how often or how late
this ran.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Max

from aforo.database import joined
from aforo.periods import Period
from aforo.sandbox.services import now_for
from billing import calculation
from billing.calculation import presentation, proration
from billing.calculation.calculation import Calculation, MetricUsage
from billing.models import Settlement, Subscription
from billing.settlement import cycle_burns, load, rerating, waiting_cycles
from billing.subscriptions import cycles, states
from billing.usage import aggregates as usages
from billing.usage import rollups
from ledger.entries import books
from ledger.models import Book, LedgerEvent
from wallets.grants import expiry
from wallets.holds import reservations
from wallets.lots import queries
from wallets.lots.credit_journal import CreditJournal
from wallets.models import CreditLot

MICROSECOND = timedelta(microseconds=1)
# Asked again and again on the way to a settlement, so the ORM does not compile it.
_RUNNING = """
    WHERE t.customer_id = %s AND t.status = ANY(%s) AND t.current_starts_at < %s
    ORDER BY t.starts_at, t.created_at, t.id
"""
_EXPIRIES = """
    SELECT DISTINCT expires_at FROM wallets_creditlot
    WHERE book_id = %s AND remaining > held AND expires_at <= %s AND frozen_at IS NULL
    ORDER BY expires_at
"""


class CyclePart(NamedTuple):
    """The usage that counts in an open cycle before a moment and was received by another."""

    subscription: UUID
    counted_from: datetime
    counted_until: datetime
    received_by: datetime | None


Usage = Mapping[str, MetricUsage]
Counted = Mapping[CyclePart, Usage]
NOTHING: Counted = MappingProxyType({})


def _add_up(subscription: Subscription, part: CyclePart) -> Usage:
    if part.received_by is None:
        return rollups.usage_so_far(subscription=subscription, until=part.counted_until)
    return usages.read_part(
        subscription=subscription,
        starts_at=subscription.current_starts_at,
        counted=Period(part.counted_from, part.counted_until),
        received_by=part.received_by,
    )


def count_ahead(
    *,
    book_id: int,
    limit: datetime,
    besides: Mapping[CyclePart, Subscription] = MappingProxyType({}),
) -> Counted:
    """Add up, before the book is locked, the usage that lapsing through `limit` will need, and
    `besides` other parts.

    A lapse counts usage received before a past moment: once no ingest is in flight, for which the
    book is locked an instant, that does not change.
    """
    book, parts = Book(pk=book_id), dict(besides)
    for moment in _expiries(book, limit):
        grace = lapse_grace(book=book)
        for subscription in open_cycles(book=book, at=moment):
            # A cycle that is over holds back what lapses at its end or later.
            if moment < subscription.current_ends_at:
                parts[part_until(subscription, moment, moment + grace)] = subscription
    if parts:
        with transaction.atomic():
            books.lock_book(book_id=book_id, exclusive=True)
    return {part: _add_up(subscription, part) for part, subscription in parts.items()}


def count_for_lapse(*, book_id: int, until: datetime | None = None) -> Counted:
    """Add up, before the book is locked, the usage that `lapse` up to `until` or now will need."""
    book = Book.objects.select_related("test_clock").get(pk=book_id)
    until = until or now_for(book)
    if not expiry.is_anything_due(book_id=book_id, until=until):
        return NOTHING
    limit = min(_held_back(book, until), until - lapse_grace(book=book))
    return count_ahead(book_id=book_id, limit=limit)


def part_until(
    subscription: Subscription, until: datetime, received_by: datetime | None = None
) -> CyclePart:
    """Return the part of a cycle that counts up to a moment. While time stands at the instant at
    which a cycle began, new usage counts a microsecond later: it is included at this instant too.
    """
    until = min(until, cycles.counted_until(subscription))
    counted = max(until, subscription.counted_from + MICROSECOND)
    return CyclePart(subscription.pk, subscription.counted_from, counted, received_by)


def open_cycles(*, book: Book, at: datetime) -> list[Subscription]:
    """Return the live subscriptions whose open cycle began before a moment, the oldest first, after
    the waiting cycles behind them.
    """
    running = joined.select(
        Subscription,
        ["customer__book", "version__plan", "offering"],
        _RUNNING,
        [book.pk, [*map(str, states.RUNNING)], at],
    )
    return [*waiting_cycles.behind(book_id=book.pk, before=at), *running]


def payers(subscription: Subscription, at: datetime) -> Callable[[CreditLot], bool]:
    """Return the test for lots that pay for a cycle at a moment: those alive then, or for a cycle
    that is over those that lived through it.
    """
    ends_at = subscription.current_ends_at
    if ends_at > at:
        return lambda lot: queries.is_alive(lot, at)
    return lambda lot: lot.effective_at <= at and load.pays_for_cycle(lot, ends_at)


def forecast(
    *,
    book: Book,
    subscription: Subscription,
    until: datetime,
    pays: Callable[[CreditLot], bool],
    received_by: datetime | None = None,
    counted: Counted = NOTHING,
    late: Sequence[rerating.Rerated] = (),
) -> Calculation:
    """Price the metered usage of an open cycle up to a moment, paid by the lots, less what goes to
    `late` usage of settled ones.

    Fees and the minimum spend are left out: they fall due at the cycle's end. What is not `counted`
    is added up here: from a rollup, or for a lapse, which sets `received_by`, event by event.
    """
    draft = load_open(
        book=book,
        subscription=subscription,
        until=until,
        pays=pays,
        received_by=received_by,
        counted=counted,
    )
    return calculation.run(calculation.to_date(rerating.less_taken(draft, late)))


def load_open(
    *,
    book: Book,
    subscription: Subscription,
    until: datetime,
    pays: Callable[[CreditLot], bool],
    received_by: datetime | None = None,
    counted: Counted = NOTHING,
    was_there: Callable[[CreditLot], bool] = lambda lot: True,
) -> Calculation:
    """Read an open cycle up to a moment, with its usage, scaled to the time that it serves."""
    part = part_until(subscription, until, received_by)
    draft = load.load(
        book=book,
        subscription=subscription,
        settlement=stand_in(subscription),
        usage=counted.get(part) or _add_up(subscription, part),
        full_period=cycles.full_period(subscription),
        until=until,
        pays=pays,
        was_there=was_there,
    )
    return proration.prorate(draft)


def stand_in(subscription: Subscription) -> Settlement:
    """Return an unsaved stand-in for the settlement of the open cycle."""
    return Settlement(
        subscription=subscription,
        book_id=subscription.customer_id,
        cycle=subscription.cycle,
        starts_at=subscription.current_starts_at,
        ends_at=subscription.current_ends_at,
        period_number=subscription.period_number,
        counted_from=subscription.counted_from,
        counted_until=cycles.counted_until(subscription),
    )


def burn_through(
    *, book: Book, until: datetime, counted: Counted = NOTHING
) -> list[tuple[Subscription, Calculation]]:
    """Lapse what is due, then burn the metered usage of every open cycle up to `until` from the
    lots alive then; return each open cycle with its calculation, whose `to_invoice` or `arrears` is
    what credits do not cover.

    The book must be locked. At the customer's now, burns that are no longer owed are returned; for
    an earlier moment (a month's end) they are not, because later usage has been paid.
    """
    lapse(book=book, until=until, counted=counted)
    is_now = until >= now_for(book)
    # What was metered at this very moment counts now, and at a month's end in the next month.
    before = until + MICROSECOND if is_now else until
    return [
        (
            subscription,
            burn(
                book,
                subscription,
                until=before,
                pays=payers(subscription, until),
                may_lower=lambda lot: is_now,
                counted=counted,
            ),
        )
        for subscription in open_cycles(book=book, at=before)
    ]


def lapse(*, book: Book, until: datetime, counted: Counted = NOTHING) -> int:
    """End the holds that timed out, and lapse what expired, lapse grace included, by `until`, each
    lot after it has paid for the usage of its lifetime; return the number of lots. The book must be
    locked.

    An unsettled cycle that ends at or before an expiry delays the lapse, because the lot still pays
    for that cycle (docs/decisions.md#d16).
    """
    if not expiry.is_anything_due(book_id=book.pk, until=until):
        return 0
    held_back = _held_back(book, until)
    limit = min(held_back, until - lapse_grace(book=book))
    lapsed = lapse_through(book=book, limit=limit, counted=counted)
    reservations.release_due(book=book, until=held_back)
    return lapsed


def count_ended(*, subscription: Subscription, is_closed: bool) -> Counted:
    """Add up, before the book is locked, the usage that `burn_ended` will need."""
    part = _ended(subscription, is_closed=is_closed)
    return {part: _add_up(subscription, part)}


def burn_ended(
    *, book: Book, subscription: Subscription, is_closed: bool, counted: Counted = NOTHING
) -> Calculation:
    """Burn the metered usage of an open cycle that is over from the lots that lived through it.

    Where late usage may still come, usage received by the end counts, whenever this runs. The book
    must be locked.
    """
    ends_at = subscription.current_ends_at
    return burn(
        book,
        subscription,
        until=ends_at,
        pays=lambda lot: load.pays_for_cycle(lot, ends_at),
        may_lower=lambda lot: True,
        received_by=_ended(subscription, is_closed=is_closed).received_by,
        counted=counted,
    )


def _ended(subscription: Subscription, *, is_closed: bool) -> CyclePart:
    ends_at = subscription.current_ends_at
    received_by = None if is_closed else ends_at
    return part_until(subscription, ends_at, received_by)


def _held_back(book: Book, until: datetime) -> datetime:
    ends = [cycle.current_ends_at for cycle in open_cycles(book=book, at=until)]
    return min([until, *(end - MICROSECOND for end in ends if end <= until)])


def lapse_through(*, book: Book, limit: datetime, counted: Counted = NOTHING) -> int:
    """Lapse what expired at or before `limit`, grace or not, each lot at its own moment.

    Usage counts that was received no later than the expiry plus the grace, whenever this runs.
    """
    lapsed = 0
    grace = lapse_grace(book=book)
    for moment in _expiries(book, limit):
        reservations.release_due(book=book, until=moment)
        late = list[rerating.Rerated]()
        running = open_cycles(book=book, at=moment)
        for subscription in running:
            late += rerating.before_lapse(
                book=book, cycle=stand_in(subscription), at=moment, received_by=moment + grace
            )
        for subscription in running:
            burn(
                book,
                subscription,
                until=moment,
                pays=lived_until(moment),
                may_lower=lapses_at(moment),
                received_by=moment + grace,
                counted=counted,
                late=late,
            )
        rerating.burn_units(book=book, rerated=late, at=moment)
        lapsed += expiry.expire(book=book, until=moment)
    return lapsed


def _expiries(book: Book, limit: datetime) -> list[datetime]:
    with connection.cursor() as cursor:
        cursor.execute(_EXPIRIES, [book.pk, limit])
        return [moment for (moment,) in cursor.fetchall()]


def lapse_grace(*, book: Book) -> timedelta:
    """Return how long after an expiry usage may still arrive: the longest grace of the live
    plans.
    """
    live = Subscription.objects.filter(customer=book.pk, status__in=states.LIVE)
    hours = live.aggregate(longest=Max("version__lapse_grace_hours"))["longest"]
    return timedelta(hours=hours or 0)


def lived_until(moment: datetime) -> Callable[[CreditLot], bool]:
    """Return the test for lots granted before a moment that live at it or lapse exactly then."""
    return lambda lot: (
        lot.effective_at < moment and (lot.expires_at is None or lot.expires_at >= moment)
    )


def lapses_at(moment: datetime) -> Callable[[CreditLot], bool]:
    return lambda lot: lot.expires_at == moment


def burn(
    book: Book,
    subscription: Subscription,
    *,
    until: datetime,
    pays: Callable[[CreditLot], bool],
    may_lower: Callable[[CreditLot], bool],
    counted: Counted,
    received_by: datetime | None = None,
    occurred_at: datetime | None = None,
    late: Sequence[rerating.Rerated] = (),
) -> Calculation:
    draft = forecast(
        book=book,
        subscription=subscription,
        until=until,
        pays=pays,
        received_by=received_by,
        counted=counted,
        late=late,
    )
    journal = CreditJournal()
    entry = journal.entry(
        book=book,
        event=LedgerEvent.USAGE_BURNED,
        occurred_at=occurred_at or min(until, subscription.current_ends_at),
        document={
            "subscription": str(subscription.pk),
            "cycle": str(subscription.cycle),
            **presentation.facts(draft, product=subscription.version.plan.code),
        },
        at_period_end=True,
    )
    cycle_burns.adjust_to(
        entry,
        settlement=stand_in(subscription),
        draft=draft,
        may_lower=may_lower,
        given_back=lambda lot: None,
    )
    if entry.movements or entry.lines:
        journal.write()
    return draft
