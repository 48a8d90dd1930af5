"""What entries change of the counters of budgets, and what a reservation holds of them.

A reservation keeps what it holds as `{"money" or "units": {budget: {counter: amount}}}`, so that a
capture moves it inside the windows that it was taken from, and a release gives it back to them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from aforo import money
from aforo.database import bulk
from aforo.database.bulk import Writes
from aforo.money import ZERO
from wallets.models import Budget, BudgetCounter

MONEY, UNITS = "money", "units"

Counted = dict[str, dict[str, dict[str, str]]]

_ADD = (
    "UPDATE wallets_budgetcounter AS t SET used = t.used + r.used, held = t.held + r.held"
    " FROM {rows}"
)


class Change(NamedTuple):
    """By how much an entry changes a counter."""

    counter: UUID
    used: Decimal = ZERO
    held: Decimal = ZERO


class Taken(NamedTuple):
    """What a request takes of a counter, and whether of money or units."""

    counter: BudgetCounter
    measure: str
    amount: Decimal


def add(changes: dict[UUID, Change], more: Change) -> None:
    """Add a change to those of the same counter."""
    before = changes.get(more.counter)
    if before is not None:
        more = Change(more.counter, before.used + more.used, before.held + more.held)
    changes[more.counter] = more


def used(taken: Sequence[Taken]) -> list[Change]:
    """Return the changes of what was taken and is used."""
    return [Change(each.counter.id, each.amount) for each in taken]


def held(taken: Sequence[Taken]) -> list[Change]:
    """Return the changes of what was taken to be held."""
    return [Change(each.counter.id, ZERO, each.amount) for each in taken]


@dataclass(slots=True)
class CounterChanges:
    """The changes that the entries of one transaction make, and the counters that it opens."""

    by_counter: dict[UUID, Change] = field(default_factory=dict)
    opened: dict[UUID, BudgetCounter] = field(default_factory=dict)

    def note(self, change: Change) -> None:
        """Add what one entry changes."""
        add(self.by_counter, change)

    def of(self, counter: UUID) -> Change:
        """Return what has changed of a counter so far."""
        return self.by_counter.get(counter) or Change(counter)

    def add_to(self, writes: Writes) -> None:
        """Add the counters to what one statement is to write; nothing where nothing changed."""
        if not self.by_counter:
            return
        added = [change for change in self.by_counter.values() if change.counter not in self.opened]
        if added:
            names = ["id", "used", "held"]
            source, arrays = bulk.from_rows(BudgetCounter, names, [list(each) for each in added])
            writes.add(_ADD.replace("{rows}", source), arrays, only="t.id = r.id")
        self._add_opened(writes)

    def _add_opened(self, writes: Writes) -> None:
        """Add the counters that were opened and have counted, and how many values live now."""
        new = [
            (self.opened[each], self.by_counter[each])
            for each in self.opened.keys() & self.by_counter
        ]
        if not new:
            return
        writes.insert_rows(
            BudgetCounter,
            ["id", "budget_id", "value", "starts_at", "ends_at", "used", "held"],
            [
                [c.id, c.budget_id, c.value, c.starts_at, c.ends_at, change.used, change.held]
                for c, change in new
            ],
        )
        budgets: dict[int, Budget] = {}
        for counter, _ in new:
            budget = budgets.setdefault(counter.budget_id, counter.budget)
            note_value(budget, counter)
        writes.update_rows(
            Budget, "id", ["live_values", "live_until"],
            [[each.pk, each.live_values, each.live_until] for each in budgets.values()],
        )  # fmt: skip


def note_value(budget: Budget, counter: BudgetCounter) -> None:
    """Count a value that a window has for the first time."""
    if budget.live_until != counter.ends_at:
        budget.live_values, budget.live_until = 0, counter.ends_at
    budget.live_values += 1


def described(changes: Iterable[Change]) -> dict[str, dict[str, str]]:
    """Return changes as the document of their entry has them."""
    return {
        str(change.counter): {
            name: money.plain(amount)
            for name, amount in (("used", change.used), ("held", change.held))
            if amount != 0
        }
        for change in changes
    }


def hold(
    counted: Mapping[str, Mapping[str, Mapping[str, str]]] | None, taken: Sequence[Taken]
) -> Counted | None:
    """Return what a reservation holds of counters with more that was taken for it."""
    more: Counted = {
        measure: {budget: dict(parts) for budget, parts in budgets.items()}
        for measure, budgets in (counted or {}).items()
    }
    for counter, measure, amount in taken:
        parts = more.setdefault(measure, {}).setdefault(str(counter.budget_id), {})
        parts[str(counter.id)] = money.plain(Decimal(parts.get(str(counter.id), 0)) + amount)
    return more or None


def capture(
    counted: Counted | None, measure: str, amount: Decimal
) -> tuple[Counted | None, list[Change]]:
    """Move so much of what a reservation holds of each budget to what is used, the oldest window
    first; return what is then held, and the changes.
    """
    changes: list[Change] = []
    left: Counted = {name: budgets for name, budgets in (counted or {}).items() if name != measure}
    kept: dict[str, dict[str, str]] = {}
    for budget, parts in (counted or {}).get(measure, {}).items():
        need = amount
        for counter in sorted(parts):
            open_ = Decimal(parts[counter])
            moved = min(open_, need)
            need -= moved
            if moved > 0:
                changes.append(Change(UUID(counter), moved, -moved))
            if open_ > moved:
                kept.setdefault(budget, {})[counter] = money.plain(open_ - moved)
    if kept:
        left[measure] = kept
    return left or None, changes


def release(counted: Counted | None) -> list[Change]:
    """Return the changes that give back all that a reservation holds, each to its window."""
    return [Change(counter, ZERO, -amount) for counter, amount in _parts(counted)]


def reverse(document: Mapping[str, Any], *, before: Decimal, quantity: Decimal) -> list[Change]:
    """Return the changes that give back so much of what an entry used of each budget, after what
    was given back `before`: the latest window first, as what went beyond a hold is reversed first.
    Windows that are not kept any more get nothing.
    """
    counted = document.get("budgets", {})
    rows = BudgetCounter.objects.filter(pk__in=counted).order_by("-starts_at")
    by_budget: dict[int, list[BudgetCounter]] = defaultdict(list)
    for row in rows:
        by_budget[row.budget_id].append(row)
    changes = []
    for parts in by_budget.values():
        skipped, need = before, quantity
        for row in parts:
            taken = Decimal(counted[str(row.pk)].get("used", 0))
            passed = min(skipped, taken)
            given = min(taken - passed, need)
            skipped, need = skipped - passed, need - given
            if given > 0:
                changes.append(Change(row.pk, -given))
    return changes


def _parts(counted: Counted | None) -> Iterator[tuple[UUID, Decimal]]:
    for budgets in (counted or {}).values():
        for parts in budgets.values():
            for counter, amount in parts.items():
                yield UUID(counter), Decimal(amount)
