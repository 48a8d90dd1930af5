"""What prices usage in a list: the part of the engine that billing implements.

It sees the list's batch, decides on requests of usage with the batch's lots and journal, and writes
what it keeps beside them in the batch's own transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from aforo.database.bulk import Writes
from aforo.protocol.idempotency import Answer
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


OpenPricing = Callable[["Batch", Sequence[Request]], Pricing]
