"""The books in the back office."""

from ledger.admin import books, controls, exports

__all__ = ["books", "controls", "exports"]
