"""Debits and reservations of the team "search", and what budgets have counted of them."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any
from uuid import UUID

from aforo.errors import DomainError
from ledger.models import Book, Entry
from tests import factories
from tests.wallets import actions
from wallets.debits import engine
from wallets.models import BudgetCounter

SEARCH = {"team": "search"}


def take(request: engine.Request) -> engine.Result:
    (result,) = engine.execute([request], livemode=False)
    return result


def debit(amount: str, attributes: dict[str, str] | None = None, **more: Any) -> engine.Result:
    of = SEARCH if attributes is None else attributes
    named: dict[str, Any] = {"amount": Decimal(amount), "currency": "USD"} | more
    return take(
        engine.DebitRequest(customer_id="cust_1", key=actions.fresh("d"), attributes=of, **named)
    )


def reserve(amount: str, attributes: dict[str, str] = SEARCH, **more: Any) -> UUID:
    result = take(
        engine.ReserveRequest(
            customer_id="cust_1",
            key=actions.fresh("r"),
            attributes=attributes,
            amount=Decimal(amount),
            currency="USD",
            **more,
        )
    )
    return UUID(factories.body(result)["id"])


def capture(reservation: UUID, amount: str | None = None, **more: Any) -> engine.Result:
    asked = None if amount is None else Decimal(amount)
    return take(
        engine.CaptureRequest(reservation=reservation, key=actions.fresh("c"), amount=asked, **more)
    )


def void(reservation: UUID) -> engine.Result:
    return take(engine.VoidRequest(reservation=reservation, key=actions.fresh("v")))


def refused(result: engine.Result) -> DomainError:
    error = factories.refusal(result)
    assert (error.status, error.code) == (402, "budget_exceeded")
    return error


def counted(code: str = "b", value: str = "") -> list[tuple[str, str]]:
    """Return used and held of each window, the oldest first."""
    found = BudgetCounter.objects.filter(budget__code=code, value=value).order_by("starts_at", "id")
    return [(f"{each.used.normalize():f}", f"{each.held.normalize():f}") for each in found]


def most_ever(book: Book) -> dict[UUID, Decimal]:
    """Return the most that each counter ever had, used and held, entry by entry."""
    now: dict[UUID, Decimal] = defaultdict(Decimal)
    most: dict[UUID, Decimal] = defaultdict(Decimal)
    entries = Entry.objects.filter(book=book).order_by("sequence")
    for document in entries.values_list("document", flat=True):
        for counter, change in document.get("budgets", {}).items():
            key = UUID(counter)
            now[key] += sum(map(Decimal, change.values()), Decimal(0))
            most[key] = max(most[key], now[key])
    return most
