"""Due work customer by customer: one that fails or is locked is recorded and passed over, and the
others are served.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from django.db import OperationalError, connection

from aforo.errors import Busy, DomainError, InvariantBroken
from ledger.models import Book

logger = logging.getLogger(__name__)

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class Failure:
    """The failure of a customer's due work at a step, and its reason; no customer where a whole
    step failed.
    """

    customer_id: str
    step: str
    reason: str
    livemode: bool | None = None

    @property
    def line(self) -> str:
        mode = {True: " (live)", False: " (sandbox)", None: ""}[self.livemode]
        return f"{self.customer_id or 'all customers'}{mode}, {self.step}: {self.reason}"

    def describe(self) -> dict[str, str]:
        """Return the failure as answers and task results contain it."""
        return {"customer_id": self.customer_id, "step": self.step, "reason": self.reason}


def reason_of(error: Exception) -> str:
    """Return the reason of a failure in one line; of an unexpected error only the class, because
    the log has its traceback.
    """
    match error:
        case Busy() | OperationalError():
            return f"busy: {error}".strip()
        case DomainError() | InvariantBroken():
            return str(error)
    return f"unexpected: {type(error).__name__}"


def drop_lost_connection() -> None:
    """Close a connection that was lost, so that it fails one customer and the next gets another."""
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()


class Isolation:
    """The failures of one pass over due work.

    A customer who was busy at one step is passed over at the later ones, because each would wait
    for the same lock; one who failed otherwise is tried at each, because what is due at one step
    may be sound where another is not.
    """

    def __init__(self) -> None:
        self.failures: list[Failure] = []
        self.busy: set[int] = set()
        self.failed: set[int] = set()

    def each(
        self, step: str, find: Callable[[], Iterable[int]], do: Callable[[int], int | None]
    ) -> int:
        """Run a step for every book that `find` returns, each alone; return the sum of the
        results.
        """
        done = 0
        for book_id in self.whole(step, lambda: tuple(find()), ()):
            done += self.one(step, book_id, do)
        return done

    def one(self, step: str, book_id: int, do: Callable[[int], int | None]) -> int:
        """Run a step for one book, unless it was busy before; return its result."""
        if book_id in self.busy:
            return 0
        try:
            return do(book_id) or 0
        except Exception as error:
            self.note(step, error, book_id)
            return 0

    def whole(self, step: str, do: Callable[[], T], otherwise: U) -> T | U:
        """Run a step that is not of one book; return `otherwise` when it fails."""
        try:
            return do()
        except Exception as error:
            self.note(step, error)
            return otherwise

    def note(self, step: str, error: Exception, book_id: int | None = None) -> None:
        """Record and log a failure, so that the next book can be served."""
        drop_lost_connection()
        self.failed |= set() if book_id is None else {book_id}
        key, livemode = _whose(book_id)
        failure = Failure(key, step, reason_of(error), livemode)
        self.failures.append(failure)
        if isinstance(error, Busy | OperationalError):
            self.busy |= set() if book_id is None else {book_id}
            logger.warning("Passed over: %s", failure.line)
        else:
            logger.error("Passed over: %s", failure.line, exc_info=error)


def _whose(book_id: int | None) -> tuple[str, bool | None]:
    """Return a book's key and mode; its number where not even those can be read."""
    if book_id is None:
        return "", None
    try:
        return Book.objects.values_list("key", "livemode").get(pk=book_id)
    except Exception:
        return f"book {book_id}", None
