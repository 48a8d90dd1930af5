"""JSON pointers (RFC 6901): where in a request a fault is."""

from __future__ import annotations


def escape(name: str) -> str:
    """Escape the name of a member for a JSON pointer (section 3)."""
    return name.replace("~", "~0").replace("/", "~1")
