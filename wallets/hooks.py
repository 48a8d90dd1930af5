"""What the floor above does when credits arrive, in the same transaction and under the same lock.

Wallets call nothing above them; billing registers its payment of arrears here when it starts.
"""

from __future__ import annotations

from collections.abc import Callable

from ledger.models import Book

_on_credits: list[Callable[[Book], None]] = []


def when_credits_arrive(do: Callable[[Book], None]) -> None:
    """Register what happens after a grant or top-up; the book is locked then."""
    _on_credits.append(do)


def credits_arrived(book: Book) -> None:
    """Tell the floor above."""
    for do in _on_credits:
        do(book)
