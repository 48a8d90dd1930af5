"""What wallets ask of billing, the app above them, which they never import.

Billing implements the port in `billing.port` and installs it once, when it starts. So a call goes
up at run time where no import does; `tests/wallets/test_port.py` draws that circle.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from ledger.models import Book
from pricing.models import Metric
from wallets.models import TopUp


@dataclass(frozen=True, slots=True)
class Traits:
    """The tags of a customer, the offerings it is subscribed to, and the zone of its days."""

    tags: frozenset[str] = frozenset()
    offerings: frozenset[str] = frozenset()
    zone: str = "UTC"


class BillingPort(Protocol):
    """The questions and requests; where a book is passed, its caller has locked it.

    All but `credits_fell` and `renew` happen in the transaction of the caller.
    """

    def traits_of(self, books: Sequence[Book]) -> Mapping[int, Traits]:
        """Return the traits of customers by their book's primary key; no lock is needed."""

    def credits_arrived(self, book: Book) -> None:
        """Pay what is owed, and go on with what waited, after a grant or top-up."""

    def waiting_for_credits(self, book_ids: Collection[int]) -> set[int]:
        """Return the books for which the next credits pay something or start something."""

    def credits_fell(self, book_ids: Collection[int]) -> None:
        """Refill what is low, once the transaction that took credits has committed.

        What fails there is logged and is no failure of the burn, which stands.
        """

    def money_leaves(self, book: Book) -> None:
        """Burn and collect what is due of a customer's credits before they are paid back."""

    def credits_returned(self, book: Book, expired_at: datetime, at: datetime) -> bool:
        """Pay usage of their lifetime from what came back at a moment to lots that had expired;
        return whether the rest lapses now.
        """

    def credits_lost(self, book: Book, top_up: TopUp, owed: Decimal, lost: Decimal) -> None:
        """Claim what a customer owes for credits spent but, after a dispute, not paid: money, or
        credits of a unit, of which so much of the payment was `lost`.
        """

    def credits_owed(self, book: Book, debit: UUID, currency: str, owed: Decimal) -> None:
        """Claim what a capture took beyond a customer's credits, and suspend who owes it."""

    def debt_of(self, debit: UUID) -> Decimal:
        """Return how much of what a capture took beyond a customer's credits is not paid yet."""

    def debt_forgiven(self, book: Book, debit: UUID, quantity: Decimal) -> None:
        """Lower what is not paid yet of such a capture, because it was reversed."""

    def debt(self, book: Book, currency: str) -> Decimal:
        """Return what a customer owes: what credits yet to come have to pay, usage of the open
        cycles that no credit covers included.
        """

    def owed(self, book_ids: Collection[int]) -> Mapping[tuple[int, str], Decimal]:
        """Return what credits yet to come have to pay, by book and currency; zero where one is
        missing. No lock is needed.
        """

    def usage_overage(self, book: Book, currency: str) -> Decimal:
        """Return what usage of the open cycles leaves to be invoiced so far."""

    def service_ended_at(self, book: Book, currency: str) -> datetime | None:
        """Return when the last subscription in a currency ended; None while one lives, or where
        there never was one.
        """

    def unit_price(self, book: Book, currency: str, metric: Metric) -> Decimal | None:
        """Return what one unit of a metric costs a customer alone, if a plan says it."""

    def sale_tax(
        self, book: Book, net: Decimal, currency: str, product_class: str, now: datetime
    ) -> tuple[Decimal, Mapping[str, object] | None]:
        """Return the tax on top of what is sold to a customer now, and its rate, if one is in
        force.
        """

    def sold_on_account(self, book: Book, top_up: TopUp) -> str:
        """Invoice a top-up; return the invoice's number."""

    def renew(self, book_id: int) -> None:
        """Begin what follows the cycles that are over, in transactions of its own. No lock may be
        held.

        What fails is logged: who asked goes on with the credits there are.
        Raises: Busy, when the customer's lock was not had in time.
        """


_installed: list[BillingPort] = []


def install(port: BillingPort) -> None:
    """Install billing's implementation, once in the life of a process.

    Raises: RuntimeError, when there is one.
    """
    if _installed:
        raise RuntimeError("The port of the wallets is installed already.")
    _installed.append(port)


def billing() -> BillingPort:
    """Return billing's implementation.

    Raises: RuntimeError, when there is none.
    """
    if not _installed:
        raise RuntimeError(
            "The wallets have no port to billing: the app 'billing' is not installed or not ready."
        )
    return _installed[0]
