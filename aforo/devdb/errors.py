"""What can go wrong with the embedded database; each message says what to do about it."""

from __future__ import annotations


class Unavailable(Exception):
    """The embedded database cannot be used here; nothing was deleted or changed."""
