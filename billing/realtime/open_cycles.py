"""The open cycles of a list's books while it is being worked on: read once under the lock, changed
in memory by each request, and priced by the settlement's own stages.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from aforo.database.together import AnyPart, Columns, Part, among, select_together
from aforo.money import ZERO
from billing import calculation
from billing.calculation import proration
from billing.calculation.calculation import Calculation, MetricUsage, changed
from billing.models import (
    Customer,
    CycleBurn,
    ForgivenUsage,
    Settlement,
    Subscription,
    UsageEvent,
)
from billing.settlement import coupon_terms, cycle_burns, load, usage_burn, waiting_cycles
from billing.settlement.coupon_terms import Coupons
from billing.subscriptions import cycles, states
from billing.usage import aggregates, rollups, running_sums
from billing.usage.running_sums import SUMMED, RunningSum, Wanted
from ledger.models import Book
from pricing import catalogue
from pricing.models import Metric
from wallets.models import CreditLot, UnitWallet

Pays = Callable[[CreditLot], bool]


@dataclass(slots=True, eq=False)
class OpenCycle:
    """A subscription's open cycle: its usage and its burns so far."""

    subscription: Subscription
    settlement: Settlement
    """An unsaved stand-in for the one to come."""
    counted_until: datetime
    """Where the usage of the customer's now ends."""
    rolled_in: Mapping[str, Decimal]
    coupons: Coupons
    burns: dict[UUID, CycleBurn] = field(default_factory=dict)
    sums: dict[str, RunningSum] = field(default_factory=dict)
    unwritten: list[UsageEvent] = field(default_factory=list)
    values: dict[UUID, Decimal | None] = field(default_factory=dict)
    """What events of the list add to a running sum."""
    forgiven: list[ForgivenUsage] = field(default_factory=list)
    drafts: dict[datetime, Calculation] = field(default_factory=dict)
    """What the cycle owes before usage and credits, by the moment of its tax."""

    def runs_before(self, moment: datetime) -> bool:
        """Return whether usage is metered in the cycle, and it began before a moment."""
        subscription = self.subscription
        return subscription.status in states.RUNNING and subscription.current_starts_at < moment

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return catalogue.metrics_of(self.subscription.version)

    def metric(self, code: str) -> Metric | None:
        return next((metric for metric in self.metrics if metric.code == code), None)

    def usage(self, until: datetime, more: UsageEvent | None = None) -> dict[str, MetricUsage]:
        """Return the usage that counts before a moment, with the events of this list and one
        more.
        """
        counted = usage_burn.part_until(self.subscription, until).counted_until
        return {metric.code: self._usage_of(metric, counted, more) for metric in self.metrics}

    def _usage_of(self, metric: Metric, counted: datetime, more: UsageEvent | None) -> MetricUsage:
        also = more if more is not None and more.metric_id == metric.pk else None
        running = self.sums.get(metric.code)
        if running is None or counted != self.counted_until:
            return self._read_usage(metric, counted, also)
        if also is None or (value := self.value_of(metric, also)) is None:
            return running.usage
        return running.plus(value)

    def _read_usage(self, metric: Metric, until: datetime, more: UsageEvent | None) -> MetricUsage:
        events = [event for event in self.unwritten if event.metric_id == metric.pk]
        return rollups.usage_so_far(
            subscription=self.subscription,
            until=until,
            only=metric,
            unwritten=events if more is None else [*events, more],
        )[metric.code]

    def value_of(self, metric: Metric, event: UsageEvent) -> Decimal | None:
        """Return what an event adds to a running sum; None where the metric leaves it out."""
        if event.id not in self.values:
            self.values[event.id] = aggregates.values_of(metric, [event]).get(event.id)
        return self.values[event.id]

    def used_in_all(self, metric: Metric, more: UsageEvent | None = None) -> Decimal:
        """Return what the whole cycle uses of a metric, with one event more, ahead of now too."""
        running = self.sums.get(metric.code)
        if running is None:
            until = cycles.counted_until(self.subscription)
            return self._read_usage(metric, until, more).quantity
        added = None if more is None else self.value_of(metric, more)
        return running.whole + (added or ZERO)

    def behind(self, metric: Metric, counted_at: datetime) -> int | None:
        """Return the rollup that an event which comes now is behind."""
        running = self.sums.get(metric.code)
        if running is not None:
            is_behind = running.reaches is not None and counted_at < running.reaches
            return running.mark if is_behind else None
        book_id = self.subscription.customer_id
        marks = rollups.marks(book_ids=[book_id])
        return rollups.behind(marks.get((book_id, metric.pk)), counted_at)

    def add(self, metric: Metric, event: UsageEvent) -> None:
        """Add an event that the list has accepted."""
        self.unwritten.append(event)
        assert event.counted_at is not None, "it counts toward this cycle"
        running = self.sums.get(metric.code)
        if running is not None and (value := self.value_of(metric, event)) is not None:
            running.add(value, counts_now=event.counted_at < self.counted_until)

    def price(
        self,
        *,
        until: datetime,
        lots: Collection[CreditLot],
        units: Collection[UnitWallet],
        pays: Pays,
        more: UsageEvent | None = None,
        forgiven: Decimal = ZERO,
    ) -> Calculation:
        """Price what the cycle owes for its usage before a moment, less what is `forgiven` anew,
        paid by the lots that `pays` selects of those of its book.
        """
        draft = changed(
            self._draft(until),
            usage=self.usage(until, more),
            rolled_in=self.rolled_in,
            forgiven=load.forgiven_before(self.settlement, until, self.forgiven) + forgiven,
        )
        loaded = load.offered(
            draft,
            units=units,
            lots=[lot for lot in lots if pays(lot)],
            burned=self.burns,
            lapsed=[lot for lot in lots if not pays(lot)],
        )
        return calculation.run(calculation.to_date(proration.prorate(loaded)))

    def _draft(self, until: datetime) -> Calculation:
        if until not in self.drafts:
            self.drafts[until] = load.without_credits(
                subscription=self.subscription,
                settlement=self.settlement,
                usage={},
                full_period=cycles.full_period(self.subscription),
                until=until,
                coupons=self.coupons,
            )
        return self.drafts[until]


@dataclass(slots=True, eq=False)
class OpenCycles:
    """The open cycles of books, the oldest subscription first, and the spent lots they burned."""

    by_book: dict[int, list[OpenCycle]] = field(default_factory=dict)
    spent: dict[UUID, CreditLot] = field(default_factory=dict)
    waiting: set[int] = field(default_factory=set)
    """The books in which ended cycles wait behind the open ones."""
    long: set[int] = field(default_factory=set)
    """The books with more usage than may be added up under the lock."""
    taken: set[tuple[int, str]] = field(default_factory=set)
    """Those of the list's keys that belong to an event."""


_IS_LIVE = f"status IN ({', '.join(repr(str(status)) for status in states.LIVE)})"
# What an open cycle has burned of lots.
_OF_CYCLE = "ON s.id = {burn}.subscription_id AND s.cycle = {burn}.cycle"
# Whether a cycle waits to be settled, what the last one left of its included quantity, and which of
# the list's keys belong to an event.
_WAITING = """EXISTS (
    SELECT FROM billing_settlement AS w JOIN billing_subscription AS b ON b.id = w.subscription_id
    WHERE w.book_id = s.customer_id AND w.kind = 'CYCLE' AND w.status = 'SEALED'
        AND (w.cycle < b.cycle OR b.status = 'CANCELLED')
)"""
_ROLLED_ON = """(
    SELECT p.rolled_on::text FROM billing_settlement AS p
    WHERE p.subscription_id = s.id AND p.cycle = s.cycle - 1 AND p.kind = 'CYCLE'
    ORDER BY p.id LIMIT 1
)"""
_TAKEN = """ARRAY(
    SELECT e.key FROM unnest(%s::bigint[], %s::text[]) AS asked(book, key)
    JOIN billing_usageevent AS e ON e.book_id = asked.book AND e.key = asked.key
    WHERE asked.book = s.customer_id
)"""
_BESIDE = (
    ("s.id", "uuid"),
    ("v.published_at", "timestamp with time zone"),
    (_WAITING, "boolean"),
    (_ROLLED_ON, "text"),
    (_TAKEN, "text[]"),
)


def parts(*, books: Collection[int], keys: Collection[tuple[int, str]]) -> list[AnyPart]:
    """Return what is to be read of the open cycles of books, and which of the keys are taken."""
    mine, asked = among("s.customer_id", books)
    is_open = f"{mine} AND s.{_IS_LIVE}"
    of_burn, of_lot = _OF_CYCLE.format(burn="t"), _OF_CYCLE.format(burn="b")
    # Spent lots come along, because the batch reads only those with something left.
    spent = (
        f"JOIN billing_cycleburn AS b ON b.lot_id = t.id JOIN billing_subscription AS s {of_lot}"
        f" WHERE {is_open} AND b.kind = 'CYCLE' AND t.remaining = 0"
    )
    beside = (
        "FROM billing_subscription AS s JOIN pricing_rateplanversion AS v ON v.id = s.version_id"
        f" WHERE {is_open}"
    )
    taken = [[book_id for book_id, _ in keys], [key for _, key in keys]]
    return [
        Part(Subscription, f"WHERE {is_open.replace('s.', 't.')}", asked),
        Part(Customer, f"WHERE {mine.replace('s.customer_id', 't.book_id')}", asked),
        *coupon_terms.parts(is_open, asked),
        Part(
            CycleBurn,
            f"JOIN billing_subscription AS s {of_burn} WHERE {is_open} AND t.kind = 'CYCLE'",
            asked,
        ),
        Part(CreditLot, spent, asked),
        Part(ForgivenUsage, f"JOIN billing_subscription AS s {of_burn} WHERE {is_open}", asked),
        Columns(_BESIDE, beside, [*taken, *asked]),
    ]


def read(
    rows: Sequence[Sequence[Any]], *, books: Mapping[int, Book], now: Mapping[int, datetime]
) -> OpenCycles:
    """Return the open cycles of locked books from the rows of `parts`, with their running sums."""
    subscriptions, customers, *coupons, burns, spent, forgiven, rest = rows
    found, opened = OpenCycles(spent={lot.id: lot for lot in spent}), dict[UUID, OpenCycle]()
    by_book = {customer.book_id: customer for customer in customers}
    beside = {id_: values for id_, *values in rest}
    for subscription in sorted(subscriptions, key=lambda s: (s.starts_at, s.created_at, s.pk)):
        published_at, waits, rolled_on, taken = beside[subscription.pk]
        customer, book = by_book[subscription.customer_id], books[subscription.customer_id]
        customer.book, subscription.customer = book, customer
        subscription.version = catalogue.published_version(subscription.version_id, published_at)
        mine = coupon_terms.of_rows(subscription, *coupons)
        rolled_in = load.rolled_in(load.as_generations(json.loads(rolled_on or "{}")))
        cycle = opened[subscription.pk] = _opened(subscription, now[book.pk], rolled_in, mine)
        found.by_book.setdefault(book.pk, []).append(cycle)
        found.taken.update((book.pk, key) for key in taken)
        if waits:
            found.waiting.add(book.pk)
    for burn in sorted(burns, key=lambda burn: burn.pk):
        opened[burn.subscription_id].burns[burn.lot_id] = burn
    for each in forgiven:
        opened[each.subscription_id].forgiven.append(each)
    _read_sums(found)
    return found


def read_unsettled(*, book: Book, now: datetime, before: datetime) -> list[OpenCycle]:
    """Read the cycles of a customer that began before a moment and are not settled: those that
    wait, which are read one by one, and those that run. For a forecast, without a lock.
    """
    rows = select_together(parts(books=[book.pk], keys=())).rows
    found = read(rows, books={book.pk: book}, now={book.pk: now})
    running = [each for each in found.by_book.get(book.pk, ()) if each.runs_before(before)]
    if book.pk in found.by_book and book.pk not in found.waiting:
        return running
    behind = waiting_cycles.behind(book_id=book.pk, before=before)
    return [*(_waiting(each, now) for each in behind), *running]


def _waiting(subscription: Subscription, now: datetime) -> OpenCycle:
    rolled_in = load.rolled_in(load.rolled_generations(subscription, subscription.cycle))
    cycle = _opened(subscription, now, rolled_in, coupon_terms.read(subscription))
    cycle.burns = cycle_burns.by_lot(settlement=cycle.settlement)
    mine = ForgivenUsage.objects.filter(subscription=subscription, cycle=subscription.cycle)
    cycle.forgiven = list(mine)
    return cycle


def _opened(
    subscription: Subscription,
    now: datetime,
    rolled_in: Mapping[str, Decimal],
    coupons: Coupons,
) -> OpenCycle:
    until = now + usage_burn.MICROSECOND
    return OpenCycle(
        subscription,
        usage_burn.stand_in(subscription),
        usage_burn.part_until(subscription, until).counted_until,
        rolled_in,
        coupons,
    )


def _read_sums(found: OpenCycles) -> None:
    wanted = [
        (
            cycle,
            Wanted(
                cycle.subscription,
                metric,
                cycle.counted_until,
                max(cycles.counted_until(cycle.subscription), cycle.counted_until),
            ),
        )
        for every in found.by_book.values()
        for cycle in every
        for metric in cycle.metrics
        if metric.aggregation in SUMMED
    ]
    sums = running_sums.read([each for _, each in wanted])
    for (cycle, each), running in zip(wanted, sums, strict=True):
        if running is None:
            found.long.add(cycle.subscription.customer_id)
        else:
            cycle.sums[each.metric.code] = running
