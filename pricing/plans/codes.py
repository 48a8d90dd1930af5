"""Codes: what names things in the catalogue, and what goes wrong with them."""

from __future__ import annotations

from aforo.errors import Conflict

CODE_MAX = 255
# What fits into an address as it is.
CODE_PATTERN = r"^[A-Za-z0-9._:\-]+$"


class CodeTaken(Conflict):
    default_code = "code_taken"


def can_exist(code: str) -> bool:
    """Tell whether the database could hold the code; what it cannot hold is simply unknown."""
    return len(code) <= CODE_MAX and "\x00" not in code
