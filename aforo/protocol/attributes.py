"""Attributes in query parameters: the same object as in a call, as JSON."""

from __future__ import annotations

import re

from aforo.errors import BadRequest
from aforo.protocol.exact_json import read_json

# As in the bodies of calls (docs/decisions.md#d290).
MOST = 16
LONGEST = 100
NAME = re.compile(r"[a-z0-9_]{1,40}")
# The longest text of them: each character of a value escaped, quotes, colon, comma and a space.
LONGEST_TEXT = MOST * (40 + 6 * LONGEST + 8)
# What a sum may be grouped by, beside time.
GROUPED = re.compile(rf"attributes\.({NAME.pattern})")
FORM = "Write a JSON object of texts: at most 16 names of a to z, 0 to 9 and _."


def read(text: str) -> dict[str, str]:
    """Read attributes.

    Raises: ValueError.
    """
    try:
        found = read_json(text.encode())
    except BadRequest as error:
        raise ValueError(FORM) from error
    if not isinstance(found, dict) or not 0 < len(found) <= MOST:
        raise ValueError(FORM)
    for name, value in found.items():
        is_text = isinstance(value, str) and len(value.encode()) > 0 and "\0" not in value
        if not is_text or len(value) > LONGEST or NAME.fullmatch(name) is None:
            raise ValueError(FORM)
    return found
