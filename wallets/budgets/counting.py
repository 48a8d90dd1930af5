"""What a list of requests takes of budgets: every matching one checked, in order of code, and
counted.

The engine asks `take`, which refuses or counts, and `refusals`, which only looks. What it changes
lies in the journal's `CounterChanges` until the list is written; nothing here writes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from aforo import money
from aforo.database import bulk
from aforo.database.together import Part, among
from aforo.errors import DomainError, Rejected
from aforo.money import ZERO
from pricing.models import Aggregation, Metric
from wallets.budgets.counters import MONEY, UNITS, CounterChanges, Taken
from wallets.budgets.cycles import open_cycle
from wallets.budgets.windows import FOREVER, window_at
from wallets.models import Budget, BudgetCounter, BudgetDelta, BudgetWindow, UnitWallet, Wallet

MAX_VALUES = 10_000
MAX_TEXT = 100
ANY = "*"
_BUDGETS = "AND t.ended_at IS NULL AND t.active"
_COUNTERS = """
    JOIN wallets_budget AS b ON b.id = t.budget_id
    WHERE {mine} AND b.ended_at IS NULL AND b.active AND t.value = ANY(%s)
        AND t.ends_at > %s AND t.starts_at <= %s
"""


_DELTAS = f"{_COUNTERS} AND t.folded_at IS NULL"


class BudgetExceeded(DomainError):
    """A budget of the customer does not allow so much: it would pass its limit, or the call is
    above `max_per_call`.

    The problem names the first in order of code (`budget`, `value`, `limit`, `used`, `held`), and
    `also` the others that refuse. Wait until `resets_at`, raise the limit, or use less.
    """

    status = 402
    title = "Budget exceeded"
    default_code = "budget_exceeded"

    def __init__(
        self, detail: str, *, extra: Mapping[str, object], until: datetime | None = None
    ) -> None:
        super().__init__(detail, extra=extra)
        # When all that refuse have reset, if the request could pass then.
        self.until = until


class TooManyValues(Rejected):
    """The budget counts as many values of its attribute in this window as it can.

    Take a shorter window, or count per an attribute with fewer values.
    """

    default_code = "too_many_values"


@dataclass(frozen=True, slots=True)
class Need:
    """What a request takes: so much money of a currency, and so many units of a metric, of whom it
    is for.
    """

    attributes: Mapping[str, object]
    money: Mapping[str, Decimal]
    units: Mapping[int, Decimal]

    def of(self, budget: Budget) -> Decimal:
        """Return what it takes of what a budget is in."""
        if budget.metric_id is None:
            return self.money.get(budget.currency, ZERO)
        return self.units.get(budget.metric_id, ZERO)


def need_of(
    wallet: Wallet | UnitWallet, quantity: Decimal, attributes: Mapping[str, object] | None
) -> Need:
    """Return what so much of a wallet is to budgets."""
    of = attributes or {}
    if isinstance(wallet, Wallet):
        return Need(of, {wallet.currency: quantity}, {})
    return Need(of, {}, {wallet.metric_id: quantity})


def measured(metric: Metric, quantity: Decimal) -> Decimal:
    """Return what an event of so much adds to a metric that a budget can count."""
    return Decimal(1) if metric.aggregation == Aggregation.COUNT and quantity > 0 else quantity


def texts(properties: Mapping[str, object]) -> dict[str, str]:
    """Return the properties of usage that a budget can match: texts of up to 100 characters; a
    member beside `metadata` wins over one in it.
    """
    inner = properties.get("metadata")
    every = {**inner, **properties} if isinstance(inner, Mapping) else properties
    return {
        name: value
        for name, value in every.items()
        if isinstance(value, str) and 0 < len(value) <= MAX_TEXT
    }


def value_of(budget: Budget, attributes: Mapping[str, object]) -> str | None:
    """Return the value that a budget counts such a use under, None where it does not match: a
    missing attribute never does.
    """
    for name, wanted in budget.match.items():
        found = attributes.get(name)
        if found is None or wanted not in (ANY, found):
            return None
    if not budget.per:
        return ""
    value = attributes.get(budget.per)
    return None if value is None else str(value)


def facts(
    budget: Budget, counter: BudgetCounter, *, used: Decimal, held: Decimal
) -> dict[str, object]:
    """Return a budget with what it has counted of one value, as refusals and notices name it."""
    most = budget.max_per_call
    return {
        "budget": budget.code,
        "value": counter.value or None,
        "limit": money.plain(budget.limit),
        "used": money.plain(used),
        "held": money.plain(held),
        "resets_at": None if counter.ends_at == FOREVER.ends_at else counter.ends_at,
        **({} if most is None else {"max_per_call": money.plain(most)}),
    }


def crossed(budget: Budget, before: Decimal, after: Decimal) -> list[int]:
    """Return the percentages of a budget's limit at which it alerts that were passed."""
    return [each for each in budget.alert_at if before < budget.limit * each / 100 <= after]


def parts(
    books: Collection[int], now: Mapping[int, datetime], values: Collection[str]
) -> list[Part]:
    """Return what is to be read of the budgets of books: themselves, and of some values the
    counters that run now, and metered usage that is not in them yet.
    """
    mine, asked = among("t.book_id", books)
    theirs, _ = among("b.book_id", books)
    moments = [now[book] for book in books]
    return [
        Part(Budget, f"WHERE {mine} {_BUDGETS}", asked),
        Part(
            BudgetCounter,
            _COUNTERS.replace("{mine}", theirs),
            [*asked, ["", *values], min(moments), max(moments)],
        ),
        Part(
            BudgetDelta,
            _DELTAS.replace("{mine}", theirs),
            [*asked, ["", *values], min(moments), max(moments)],
        ),
    ]


class Budgets:
    """The budgets of the books of a list, with what they have counted."""

    def __init__(
        self,
        rows: Sequence[Sequence[Any]],
        *,
        now: Mapping[int, datetime],
        values: Iterable[str],
        wallets: Iterable[Wallet | UnitWallet],
        changes: CounterChanges,
    ) -> None:
        """Arrange the rows of `parts`, in its order. `changes` is where the list notes what its
        entries change.
        """
        budgets, counters, deltas = rows
        self.now = now
        self.changes = changes
        self.by_book: dict[int, list[Budget]] = defaultdict(list)
        for budget in sorted(budgets, key=lambda each: each.code):
            self.by_book[budget.book_id].append(budget)
        self._by_id = {budget.pk: budget for budget in budgets}
        self._values = {"", *values}
        self._wallets = list(wallets)
        self._counters: dict[tuple[int, str], list[BudgetCounter]] = defaultdict(list)
        for counter in counters:
            self._add(counter)
        self._deltas: dict[tuple[int, str, datetime, datetime], Decimal] = defaultdict(Decimal)
        for each in deltas:
            self._deltas[each.budget_id, each.value, each.starts_at, each.ends_at] += each.quantity

    def _add(self, counter: BudgetCounter) -> None:
        self._counters[counter.budget_id, counter.value].append(counter)

    def take(self, book: int, need: Need, *, refuse: bool = True) -> list[Taken]:
        """Return what a request takes of each matching budget, for its entry to count.

        With `refuse`, which is off for what was served already, every hard one is asked first.
        Raises: BudgetExceeded, naming the first and listing all that refuse; TooManyValues.
        """
        if book not in self.by_book:
            return []
        matching = self._matching(book, need)
        if refuse and (refused := [each for each in matching if self._refuses(*each)]):
            first, *also = [self.facts(budget, counter) for budget, counter, _ in refused]
            code = refused[0][0].code
            raise BudgetExceeded(
                f"The budget {code} does not allow it.",
                extra={**first, "also": also},
                until=_until(refused),
            )
        for budget, counter, _ in matching:
            self._check_values(budget, counter)
        for _, counter, _ in matching:
            if counter._state.adding and counter.id not in self.changes.opened:
                counter.budget = self._by_id[counter.budget_id]
                self.changes.opened[counter.id] = counter
                self._add(counter)
        return [
            Taken(counter, MONEY if budget.metric_id is None else UNITS, amount)
            for budget, counter, amount in matching
        ]

    def refusals(self, book: int, need: Need) -> list[dict[str, object]]:
        """Return the budgets that would refuse a request, in order of code; nothing is counted."""
        matching = self._matching(book, need)
        return [self.facts(each[0], each[1]) for each in matching if self._refuses(*each)]

    def _matching(self, book: int, need: Need) -> list[tuple[Budget, BudgetCounter, Decimal]]:
        found = []
        for budget in self.by_book.get(book, ()):
            amount = need.of(budget)
            value = value_of(budget, need.attributes) if amount else None
            if value is not None:
                found.append((budget, self._counter(budget, value), amount))
        return found

    def _refuses(self, budget: Budget, counter: BudgetCounter, amount: Decimal) -> bool:
        if not budget.hard:
            return False
        most = budget.max_per_call
        is_too_much = most is not None and amount > most
        return is_too_much or self.counted(counter) + amount > budget.limit

    def counted(self, counter: BudgetCounter) -> Decimal:
        """Return what is used and held of a counter as the list has changed it, with metered usage
        that is not in it yet.
        """
        return self._changed(counter) + self._metered(counter)

    def _metered(self, counter: BudgetCounter) -> Decimal:
        key = (counter.budget_id, counter.value, counter.starts_at, counter.ends_at)
        return self._deltas.get(key, ZERO)

    def alerts(self) -> list[tuple[int, Mapping[str, object]]]:
        """Return the alerts that the list's changes set off, each with its book."""
        found: list[tuple[int, Mapping[str, object]]] = []
        for (budget_id, _), counters in self._counters.items():
            budget = self._by_id[budget_id]
            for counter in counters if budget.alert_at else ():
                before, after = counter.used + counter.held, self._changed(counter)
                for percent in crossed(budget, before, after):
                    told = {"percent": percent, "counter": counter.id}
                    found.append((budget.book_id, {**self.facts(budget, counter), **told}))
        return found

    def _changed(self, counter: BudgetCounter) -> Decimal:
        """Return what a counter has, as the list has changed it."""
        change = self.changes.of(counter.id)
        return counter.used + change.used + counter.held + change.held

    def facts(self, budget: Budget, counter: BudgetCounter) -> dict[str, object]:
        """Return a budget as a refusal names it."""
        change = self.changes.of(counter.id)
        used = counter.used + change.used + self._metered(counter)
        return facts(budget, counter, used=used, held=counter.held + change.held)

    def _counter(self, budget: Budget, value: str) -> BudgetCounter:
        """Return the counter of the window that runs, new where nothing was counted yet."""
        now = self.now[budget.book_id]
        is_cycle = budget.window == BudgetWindow.CYCLE
        cycle = open_cycle(budget, self._wallets) if is_cycle else None
        if value not in self._values:
            self._read(budget, value, now)
        for counter in self._counters[budget.pk, value]:
            if cycle is not None:
                if counter.starts_at == cycle.starts_at:
                    return counter
            elif counter.starts_at <= now < counter.ends_at:
                return counter
        window = window_at(budget.window, now, budget.timezone, cycle)
        return bulk.build(
            BudgetCounter,
            budget_id=budget.pk,
            value=value,
            starts_at=window.starts_at,
            ends_at=window.ends_at,
        )

    def _read(self, budget: Budget, value: str, now: datetime) -> None:
        """Read the counters of a value that nobody could know the list would ask for: that of a
        reservation whose capture goes beyond it.
        """
        rest = "WHERE t.budget_id = %s AND t.value = %s AND t.ends_at > %s AND t.starts_at <= %s"
        known = {counter.id for counter in self._counters[budget.pk, value]}
        for counter in bulk.select_models(BudgetCounter, rest, [budget.pk, value, now, now]):
            if counter.id not in known:
                self._add(counter)

    def _check_values(self, budget: Budget, counter: BudgetCounter) -> None:
        """Check that a budget has room for another value.

        Raises: TooManyValues.
        """
        if not budget.per or not counter._state.adding or counter.id in self.changes.opened:
            return
        live = budget.live_values if budget.live_until == counter.ends_at else 0
        live += sum(1 for each in self.changes.opened.values() if each.budget_id == budget.pk)
        if live >= MAX_VALUES:
            raise TooManyValues(
                f"The budget {budget.code} counts {MAX_VALUES} values already in this window: take"
                " a shorter window, or an attribute with fewer values.",
                extra={"budget": budget.code},
            )


def _until(refused: Iterable[tuple[Budget, BudgetCounter, Decimal]]) -> datetime | None:
    """Return when the last of some budgets has reset; None where one never does, or never allows so
    much.
    """
    ends = set()
    for budget, counter, amount in refused:
        most = budget.limit if budget.max_per_call is None else budget.max_per_call
        if amount > min(most, budget.limit) or counter.ends_at == FOREVER.ends_at:
            return None
        ends.add(counter.ends_at)
    return max(ends)
