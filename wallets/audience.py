"""What is asked about a customer; the floor above answers, which has the personal data.

Wallets call nothing above them; billing registers its answer here when it starts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ledger.models import Book


@dataclass(frozen=True, slots=True)
class Traits:
    """The tags of a customer, the offerings it is subscribed to, and the zone of its days."""

    tags: frozenset[str] = frozenset()
    offerings: frozenset[str] = frozenset()
    zone: str = "UTC"


Tell = Callable[[Sequence[Book]], Mapping[int, Traits]]
_tellers: list[Tell] = []


def when_asked(tell: Tell) -> None:
    """Register who knows the customers, by their book's primary key."""
    _tellers.append(tell)


def traits_of(books: Sequence[Book]) -> dict[int, Traits]:
    """Ask about customers, by their book's primary key; unknown ones have no traits."""
    found = {book.pk: Traits() for book in books}
    for tell in _tellers:
        found |= tell(books)
    return found
