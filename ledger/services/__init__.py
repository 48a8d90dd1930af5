"""What can be done with the books: open them, lock them, append to them, prove them."""

from ledger.services.appending import EntryDraft, append
from ledger.services.books import (
    BookExists,
    UnknownCustomer,
    ensure_chart,
    find_books,
    get_book,
    lock_book,
    lock_books,
    open_book,
    share_books,
)
from ledger.services.proving import BadEntry, ChainReport, verify_chain

__all__ = [
    "BadEntry",
    "BookExists",
    "ChainReport",
    "EntryDraft",
    "UnknownCustomer",
    "append",
    "ensure_chart",
    "find_books",
    "get_book",
    "lock_book",
    "lock_books",
    "open_book",
    "share_books",
    "verify_chain",
]
