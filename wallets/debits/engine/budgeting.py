"""The budgets of a list: read where a book has any, asked by each request, and what is told of
them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from ledger.models import Book
from wallets import outbox
from wallets.budgets.counters import CounterChanges, Taken
from wallets.budgets.counting import Budgets, Need
from wallets.debits.engine.requests import CustomerRequest, Request
from wallets.models import UnitWallet, Wallet


class ListBudgets:
    """The budgets of the books of a list; none of them costs anything where no book has any."""

    def __init__(self, books: Mapping[str, Book], now: Mapping[int, datetime]) -> None:
        self._books = books
        self._by_id = {book.pk: book for book in books.values()}
        self._now = now
        self._values: set[str] = set()
        self._budgets: Budgets | None = None
        self._alerts: Sequence[tuple[int, Mapping[str, object]]] = ()
        self._exceeded: list[tuple[Book, Mapping[str, object]]] = []

    def values(self, requests: Sequence[Request]) -> set[str]:
        """Return the values that budgets may count the requests under, where a book has any."""
        limited = {key for key, book in self._books.items() if book.has_budgets}
        if limited:
            self._values = {
                value
                for request in requests
                if isinstance(request, CustomerRequest) and request.customer_id in limited
                for value in request.matched_by.values()
            }
        return self._values

    def open(
        self,
        rows: Sequence[Sequence[Any]],
        wallets: Iterable[Wallet | UnitWallet],
        changes: CounterChanges,
    ) -> None:
        """Arrange what was read of them; in `changes` the list notes what its entries change."""
        if rows:
            self._budgets = Budgets(
                rows, now=self._now, values=self._values, wallets=wallets, changes=changes
            )

    def take(self, book: Book, need: Need, *, refuse: bool = True) -> list[Taken]:
        """Return what a request takes of the customer's budgets, for its entry to count. It comes
        last of what may be refused.

        Raises: BudgetExceeded, TooManyValues.
        """
        if self._budgets is None:
            return []
        return self._budgets.take(book.pk, need, refuse=refuse)

    def ignore(self) -> None:
        """Ask none of them any more, for a check that looks for what else refuses."""
        self._budgets = None

    def decline(self, book: Book, facts: Mapping[str, object]) -> None:
        """Record that a budget refused a request."""
        self._exceeded.append((book, facts))

    def note_alerts(self) -> None:
        """Record the alerts that the changes set off, before they are written."""
        if self._budgets is not None:
            self._alerts = self._budgets.alerts()

    def notify(self) -> None:
        """Write the notices of refusals and alerts."""
        now = self._now
        if self._exceeded:
            outbox.budgets_exceeded((book, facts, now[book.pk]) for book, facts in self._exceeded)
        if self._alerts:
            outbox.budget_alerts((self._by_id[b], facts, now[b]) for b, facts in self._alerts)
