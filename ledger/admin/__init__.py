"""The books in the back office."""

from ledger.admin import books, exports

__all__ = ["books", "exports"]
