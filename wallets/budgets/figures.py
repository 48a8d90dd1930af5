"""What budgets have counted, as answers, wallets, statements and pages show it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db.models import F, Q, QuerySet

from aforo import money
from aforo.money import ZERO
from aforo.periods import Period
from ledger.models import Book
from wallets.budgets import budgets
from wallets.budgets.cycles import open_cycle
from wallets.budgets.windows import FOREVER, window_at
from wallets.models import Budget, BudgetCounter, BudgetWindow, UnitWallet, Wallet


def figures_at(budget: Budget, moment: datetime, *, now: datetime) -> list[dict[str, object]]:
    """Return what a budget has counted in the windows that a moment lies in, by value; of one
    total also where that is nothing yet.
    """
    cycles = _cycles([budget])
    found = list(_counters([budget], cycles if moment == now else {}, moment).order_by("value"))
    if not found and not budget.per:
        return [_unused(budget, cycles.get(budget.pk), moment)]
    return [_figures(budget, counter) for counter in found]


def of_book(book: Book, now: datetime) -> list[dict[str, object]]:
    """Return the active budgets of a customer in order of code, each with what it has counted in
    the window that runs; of one per value the value that has taken the most.
    """
    found = Budget.objects.filter(book=book, ended_at=None, active=True).select_related("metric")
    mine = list(found.order_by("code"))
    cycles = _cycles(mine)
    fullest = _counters(mine, cycles, now).order_by("budget", -(F("used") + F("held")), "value")
    counters = {counter.budget_id: counter for counter in fullest.distinct("budget")}
    return [
        {**budgets.terms_of(budget), "usage": _shown(budget, counters, cycles.get(budget.pk), now)}
        for budget in mine
    ]


def _shown(
    budget: Budget, counters: dict[int, BudgetCounter], cycle: Period | None, now: datetime
) -> dict[str, object] | None:
    counter = counters.get(budget.pk)
    if counter is not None:
        return _figures(budget, counter)
    return None if budget.per else _unused(budget, cycle, now)


def _cycles(mine: Sequence[Budget]) -> dict[int, Period]:
    """Return the open cycles that budgets count in, by budget; reads wallets only for those."""
    books = {budget.book_id for budget in mine if budget.window == BudgetWindow.CYCLE}
    if not books:
        return {}
    wallets: list[Wallet | UnitWallet] = [
        *Wallet.objects.filter(book__in=books),
        *UnitWallet.objects.filter(book__in=books),
    ]
    found = {
        budget.pk: open_cycle(budget, wallets)
        for budget in mine
        if budget.window == BudgetWindow.CYCLE
    }
    return {pk: cycle for pk, cycle in found.items() if cycle is not None}


def _counters(
    mine: Sequence[Budget], cycles: dict[int, Period], moment: datetime
) -> QuerySet[BudgetCounter]:
    """Select the counters whose window a moment lies in, of an open cycle only its own."""
    by_time = [budget.pk for budget in mine if budget.pk not in cycles]
    wanted = Q(budget__in=by_time, ends_at__gt=moment)
    for pk, cycle in cycles.items():
        wanted |= Q(budget=pk, starts_at=cycle.starts_at)
    return BudgetCounter.objects.filter(wanted, starts_at__lte=moment)


def _figures(budget: Budget, counter: BudgetCounter) -> dict[str, object]:
    return {
        **({"value": counter.value} if budget.per else {}),
        "window": _bounds(Period(counter.starts_at, counter.ends_at)),
        "limit": money.plain(budget.limit),
        "used": money.plain(counter.used),
        "held": money.plain(counter.held),
        "available": money.plain(max(budget.limit - counter.used - counter.held, ZERO)),
    }


def _unused(budget: Budget, cycle: Period | None, moment: datetime) -> dict[str, object]:
    window = window_at(budget.window, moment, budget.timezone, cycle)
    empty = BudgetCounter(starts_at=window.starts_at, ends_at=window.ends_at, used=ZERO, held=ZERO)
    return _figures(budget, empty)


def _bounds(window: Period) -> dict[str, datetime | None]:
    is_total = window.ends_at == FOREVER.ends_at
    return {
        "starts_at": None if is_total else window.starts_at,
        "ends_at": None if is_total else window.ends_at,
    }
