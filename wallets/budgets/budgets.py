"""Budgets as they are made, changed and ended, each change with who made it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from django.db import transaction

from aforo import money
from aforo.errors import Conflict, FieldError, Invalid, NotFound
from aforo.sandbox.services import now_for
from ledger.entries import books
from ledger.models import Book
from pricing import catalogue
from pricing.models import Aggregation, Metric
from wallets import port
from wallets.budgets.counting import ANY, MAX_TEXT
from wallets.models import Budget, BudgetChange, BudgetWindow

# Each is read with every debit of the customer.
MAX_BUDGETS = 100
MAX_NAMES = 16
MAX_ALERTS = 10
NAME = re.compile(r"[a-z0-9_]{1,40}")
CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
CHANGED = ("name", "limit", "hard", "max_per_call", "alert_at", "active")


class UnknownBudget(NotFound):
    """The customer has no budget of this code, or it has ended.

    GET /v1/budgets?customer_id= lists those that it has.
    """

    default_code = "unknown_budget"


class BudgetExists(Conflict):
    """The customer has a budget of this code.

    Change it by PATCH, or end it first.
    """

    default_code = "budget_exists"


@transaction.atomic
def create_budget(
    *,
    livemode: bool,
    customer_id: str,
    code: str,
    match: Mapping[str, str],
    limit: Decimal,
    window: str,
    currency: str = "",
    metric: str = "",
    per: str = "",
    **terms: Any,
) -> Budget:
    """Create a budget, which counts from now on.

    It locks the book alone, so that of metered usage it is known what came before it. `terms` are
    name, hard, max_per_call, alert_at and active. Raises: UnknownCustomer, Invalid naming every
    fault, BudgetExists.
    """
    found = books.get_book(livemode=livemode, key=customer_id)
    measured = _metric(livemode=livemode, code=metric)
    _check(
        [
            *_faults(code, match, per, window),
            *_unit_faults(currency, metric, measured, livemode=livemode),
            *_term_faults({**terms, "limit": limit}),
        ]
    )
    book = books.lock_book(book_id=found.pk, exclusive=True)
    live = Budget.objects.filter(book=book, ended_at=None)
    if live.filter(code=code).exists():
        raise BudgetExists(f"The customer has a budget {code}.")
    if live.count() >= MAX_BUDGETS:
        detail = f"A customer has at most {MAX_BUDGETS} budgets: end one, or count per value."
        raise Invalid([FieldError("/customer_id", "too_many_budgets", detail)])
    made = Budget.objects.create(
        book=book,
        code=code,
        match=dict(match),
        per=per,
        currency=currency,
        metric=measured,
        limit=limit,
        window=window,
        timezone=port.billing().traits_of([book])[book.pk].zone,
        created_at=now_for(book),
        **terms,
    )
    _record(made)
    _note(book)
    return made


@transaction.atomic
def change_budget(
    *, livemode: bool, customer_id: str, code: str, changes: Mapping[str, Any]
) -> Budget:
    """Change what a budget allows; what it is for stays. A limit below what is used refuses from
    now on.

    Raises: UnknownCustomer, UnknownBudget, Invalid naming every fault.
    """
    check_terms(changes)
    budget = _locked(livemode=livemode, customer_id=customer_id, code=code)
    names = [name for name in CHANGED if name in changes]
    for name in names:
        setattr(budget, name, changes[name])
    if names:
        budget.save(update_fields=names)
        _record(budget)
    return budget


@transaction.atomic
def end_budget(*, livemode: bool, customer_id: str, code: str) -> Budget:
    """End a budget: it counts and refuses nothing more, and its code is free. What reservations
    hold of it is given back as they end.

    Raises: UnknownCustomer, UnknownBudget.
    """
    budget = _locked(livemode=livemode, customer_id=customer_id, code=code)
    budget.ended_at = now_for(budget.book)
    budget.save(update_fields=["ended_at"])
    _record(budget)
    _note(budget.book)
    return budget


def get_budget(*, livemode: bool, customer_id: str, code: str) -> Budget:
    """Return a budget that has not ended.

    Raises: UnknownCustomer, UnknownBudget.
    """
    book = books.get_book(livemode=livemode, key=customer_id)
    found = Budget.objects.select_related("metric", "book__test_clock")
    budget = found.filter(book=book, code=code, ended_at=None).first()
    if budget is None:
        raise UnknownBudget(f"The customer has no budget {code}.")
    return budget


def move_zone(*, book: Book, zone: str) -> None:
    """Write a customer's new time zone to its budgets: it counts from their next windows on."""
    Budget.objects.filter(book=book, ended_at=None).update(timezone=zone)


def terms_of(budget: Budget) -> dict[str, object]:
    """Return a budget as it is shown, and as its changes are recorded."""
    metric = budget.metric
    return {
        "code": budget.code,
        "name": budget.name,
        "match": budget.match,
        "per": budget.per or None,
        **({"currency": budget.currency} if metric is None else {"metric": metric.code}),
        "limit": money.plain(budget.limit),
        "window": str(budget.window),
        "hard": budget.hard,
        "max_per_call": None if budget.max_per_call is None else money.plain(budget.max_per_call),
        "alert_at": list(budget.alert_at),
        "active": budget.active,
    }


def check_terms(terms: Mapping[str, Any]) -> None:
    """Check what a budget allows.

    Raises: Invalid naming every fault.
    """
    _check([*_term_faults(terms)])


def _locked(*, livemode: bool, customer_id: str, code: str) -> Budget:
    """Return a budget, read under the lock of its book."""
    found = get_budget(livemode=livemode, customer_id=customer_id, code=code)
    book = books.lock_book(book_id=found.book_id)
    budget = get_budget(livemode=livemode, customer_id=customer_id, code=code)
    budget.book = book
    return budget


def _note(book: Book) -> None:
    """Write whether the book has budgets, which whoever locks it then knows."""
    book.has_budgets = Budget.objects.filter(book=book, ended_at=None).exists()
    book.save(update_fields=["has_budgets"])


def _record(budget: Budget) -> None:
    ended = {"ended": True} if budget.ended_at is not None else {}
    BudgetChange.objects.create(
        budget=budget, terms={**terms_of(budget), **ended}, sequence=budget.book.sequence
    )


def _metric(*, livemode: bool, code: str) -> Metric | None:
    return Metric.objects.filter(livemode=livemode, code=code).first() if code else None


def _check(faults: Sequence[FieldError]) -> None:
    if faults:
        raise Invalid(faults)


def _faults(code: str, match: object, per: str, window: str) -> Iterator[FieldError]:
    """Find what is wrong with what a budget is for."""
    if not CODE.fullmatch(code):
        detail = (
            "Letters, digits, dots, hyphens and underscores, at most 64; a letter or digit first."
        )
        yield FieldError("/code", "invalid", detail)
    if window not in BudgetWindow.values:
        yield FieldError("/window", "invalid_choice", f"One of {', '.join(BudgetWindow.values)}.")
    if per and not NAME.fullmatch(per):
        yield FieldError("/per", "invalid", "The name of an attribute.")
    yield from _match_faults(match)


def _match_faults(match: object) -> Iterator[FieldError]:
    if not isinstance(match, Mapping) or not match:
        yield FieldError("/match", "required", 'Name what it is for, such as {"team": "search"}.')
        return
    if len(match) > MAX_NAMES:
        yield FieldError("/match", "too_many", f"At most {MAX_NAMES} attributes.")
    for name, value in match.items():
        if not NAME.fullmatch(name):
            yield FieldError(f"/match/{name}", "invalid", "A name: a to z, 0 to 9 and _, up to 40.")
        elif not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT or "\x00" in value:
            detail = f"A text of 1 to {MAX_TEXT} characters, or {ANY} for any."
            yield FieldError(f"/match/{name}", "invalid", detail)


def _unit_faults(
    currency: str, code: str, metric: Metric | None, *, livemode: bool
) -> Iterator[FieldError]:
    if bool(currency) == bool(code):
        yield FieldError("/currency", "required", "Name a currency, or a metric.")
    elif currency and not catalogue.is_sold_in(livemode=livemode, currency=currency):
        yield FieldError("/currency", "unknown_currency", "This currency is not supported.")
    elif code and metric is None:
        yield FieldError("/metric", "unknown_metric", f"There is no metric {code}.")
    elif metric is not None and not is_countable(metric):
        detail = "A budget counts a metric that sums quantities or counts events, without filters."
        yield FieldError("/metric", "not_countable", detail)


def is_countable(metric: Metric) -> bool:
    """Return whether what an event adds to a metric is known of the event alone."""
    counts = metric.aggregation == Aggregation.COUNT
    sums = metric.aggregation == Aggregation.SUM and not metric.property
    return (counts or sums) and not metric.filters


def _term_faults(terms: Mapping[str, Any]) -> Iterator[FieldError]:
    for name in ("limit", "max_per_call"):
        value = terms.get(name)
        if value is not None and value < 0:
            yield FieldError(f"/{name}", "negative", "It must not be negative.")
    alerts = terms.get("alert_at", ())
    if len(alerts) > MAX_ALERTS or len(set(alerts)) < len(alerts):
        yield FieldError("/alert_at", "invalid", f"At most {MAX_ALERTS} percentages, each once.")
    for n, percent in enumerate(alerts):
        if not 1 <= percent <= 100:
            yield FieldError(f"/alert_at/{n}", "invalid", "1 to 100 percent.")
