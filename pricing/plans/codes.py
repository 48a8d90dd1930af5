"""Codes: the names of things in the catalogue, and which of them can be."""

from __future__ import annotations

from aforo.errors import Conflict

CODE_MAX = 255
# What fits into an address as it is.
CODE_PATTERN = r"^[A-Za-z0-9._:\-]+$"


class CodeTaken(Conflict):
    """Another object has this code already.

    Choose another code, or change the existing one.
    """

    default_code = "code_taken"


def can_exist(code: str) -> bool:
    """Return whether the database could store the code; one that it cannot is simply unknown."""
    return len(code) <= CODE_MAX and "\x00" not in code
