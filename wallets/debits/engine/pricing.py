"""What prices usage in a list: the part of the engine that billing implements.

It sees the list's batch, decides on requests of usage with the batch's lots and journal, and writes
what it keeps beside them in the batch's own transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from aforo.database.bulk import Writes
from aforo.database.together import AnyPart
from aforo.protocol.idempotency import Answer
from ledger.models import Book
from wallets.debits.engine.requests import Request

if TYPE_CHECKING:
    from wallets.debits.engine.batch import Batch


class Pricing(Protocol):
    """The prices of one list, opened when its books are locked and its batch is read."""

    def catch_up(self) -> bool:
        """Do what is due of the books before the first request; return whether that wrote anything,
        so that the batch has to be read again.
        """

    def decide(self, request: Request) -> Answer:
        """Decide a request, about usage or a reservation of it, as the list has changed the batch.

        Raises: a refusal, which leaves batch and prices as they were.
        """

    def add_to(self, writes: Writes) -> None:
        """Add what the accepted requests changed beside lots, entries and reservations."""


class OpenPricing(Protocol):
    """How the prices of a list are opened: what is read for them, in the list's one read, and what
    is made of that.
    """

    def parts(self, books: Mapping[str, Book], requests: Sequence[Request]) -> list[AnyPart]:
        """Return what is to be read of the locked books, by customer."""

    def __call__(
        self, batch: Batch, requests: Sequence[Request], rows: Sequence[Sequence[Any]]
    ) -> Pricing:
        """Return the prices, from the rows of `parts`."""
