"""The back office of who gets in."""

from aforo.access.admin import accounts, keys

__all__ = ["accounts", "keys"]
