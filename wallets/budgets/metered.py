"""Metered usage in budgets of units: appended as it comes in, which may not wait for the book's
lock, and folded into the counters under it. It has happened, so no budget refuses it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from django.db import transaction

from aforo.database import bulk
from aforo.database.bulk import Writes
from aforo.money import ZERO
from aforo.periods import Period
from aforo.sandbox.services import now_for
from ledger.entries import books
from pricing.models import Metric
from wallets import outbox
from wallets.budgets.counters import Change, CounterChanges
from wallets.budgets.counting import crossed, facts, measured, texts, value_of
from wallets.budgets.cycles import open_cycle
from wallets.budgets.windows import window_at
from wallets.models import (
    Budget,
    BudgetCounter,
    BudgetDelta,
    BudgetWindow,
    UnitWallet,
    Wallet,
)

_Key = tuple[int, str, datetime, datetime]


class Event(NamedTuple):
    """An event that came in; `counted_at` is when it counts toward a cycle."""

    book: int
    metric: Metric
    quantity: Decimal
    occurred_at: datetime
    counted_at: datetime | None
    properties: Mapping[str, object]


def append(book_ids: Collection[int], events: Iterable[Event]) -> None:
    """Append what events add to the budgets of books, a row for each window and value.

    The books must be shared or locked, so that no budget begins meanwhile. An event of an earlier
    cycle adds nothing to the open one.
    """
    found = Budget.objects.filter(
        book__in=book_ids, ended_at=None, active=True, metric__isnull=False
    )
    mine: dict[tuple[int, int | None], list[Budget]] = defaultdict(list)
    for budget in found:
        mine[budget.book_id, budget.metric_id].append(budget)
    if not mine:
        return
    cycles = _cycles([budget for budgets in mine.values() for budget in budgets])
    sums: dict[_Key, Decimal] = defaultdict(Decimal)
    for event in events:
        for budget in mine.get((event.book, event.metric.pk), ()):
            value = value_of(budget, texts(event.properties))
            window = None if value is None else _window(budget, event, cycles.get(budget.pk))
            if value is not None and window is not None:
                key = (budget.pk, value, window.starts_at, window.ends_at)
                sums[key] += measured(event.metric, event.quantity)
    rows = [
        bulk.build(
            BudgetDelta,
            budget_id=budget,
            value=value,
            starts_at=starts_at,
            ends_at=ends_at,
            quantity=quantity,
        )
        for (budget, value, starts_at, ends_at), quantity in sums.items()
    ]
    bulk.insert_models(BudgetDelta, rows)


def _cycles(budgets: Sequence[Budget]) -> dict[int, Period]:
    """Return the open cycles of those budgets that count by cycle."""
    by_cycle = [budget for budget in budgets if budget.window == BudgetWindow.CYCLE]
    if not by_cycle:
        return {}
    ids = {budget.book_id for budget in by_cycle}
    wallets: list[Wallet | UnitWallet] = [
        *Wallet.objects.filter(book__in=ids),
        *UnitWallet.objects.filter(book__in=ids),
    ]
    found = {budget.pk: open_cycle(budget, wallets) for budget in by_cycle}
    return {pk: cycle for pk, cycle in found.items() if cycle is not None}


def _window(budget: Budget, event: Event, cycle: Period | None) -> Period | None:
    """Return the window that an event counts in: that in which it happened."""
    if cycle is not None:
        counted_at = event.counted_at or event.occurred_at
        return cycle if counted_at >= cycle.starts_at else None
    return window_at(budget.window, event.occurred_at, budget.timezone, None)


def pending_books() -> list[int]:
    """Return the books with metered usage that is not in the counters of budgets yet."""
    found = BudgetDelta.objects.filter(folded_at=None).values_list("budget__book", flat=True)
    return list(found.order_by("budget__book").distinct())


@transaction.atomic
def fold(*, book_id: int) -> int:
    """Fold what metered usage has added into the counters; return how many rows that were."""
    book = books.lock_book(book_id=book_id)
    now = now_for(book)
    pending = list(
        BudgetDelta.objects.filter(budget__book=book_id, folded_at=None).select_related("budget")
    )
    budgets = {delta.budget_id: delta.budget for delta in pending}
    sums: dict[_Key, Decimal] = defaultdict(Decimal)
    for delta in pending:
        sums[delta.budget_id, delta.value, delta.starts_at, delta.ends_at] += delta.quantity
    ends = {ends_at for *_, ends_at in sums}
    known = {
        (each.budget_id, each.value, each.starts_at, each.ends_at): each
        for each in BudgetCounter.objects.filter(budget__in=budgets, ends_at__in=ends)
    }
    changes, alerts = CounterChanges(), []
    for key, quantity in sums.items():
        counter = known.get(key)
        if counter is None:
            counter = _opened(budgets[key[0]], key)
            changes.opened[counter.id] = counter
        changes.note(Change(counter.id, quantity))
        before = counter.used + counter.held
        alerts += [
            {
                **facts(budgets[key[0]], counter, used=counter.used + quantity, held=counter.held),
                "percent": percent,
                "counter": counter.id,
            }
            for percent in crossed(budgets[key[0]], before, before + quantity)
        ]
    writes = Writes()
    changes.add_to(writes)
    writes.update_rows(BudgetDelta, "id", ["folded_at"], [[delta.id, now] for delta in pending])
    writes.execute()
    outbox.budget_alerts((book, told, now) for told in alerts)
    return len(pending)


def _opened(budget: Budget, key: _Key) -> BudgetCounter:
    _, value, starts_at, ends_at = key
    opened = bulk.build(
        BudgetCounter,
        budget_id=budget.pk,
        value=value,
        starts_at=starts_at,
        ends_at=ends_at,
        used=ZERO,
        held=ZERO,
    )
    opened.budget = budget
    return opened
