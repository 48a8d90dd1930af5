"""Read and write JSON without loss: numbers are Decimal, never through float, and written as plain
strings; times are RFC 3339 in UTC.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from aforo import money

# A number beyond these is no amount; it stays text, and its field refuses it by name.
MAX_DIGITS = 40
MAX_EXPONENT = 26


def read_number(text: str) -> Decimal | str:
    """Read a JSON number exactly; return it as text when it is out of all proportion."""
    if len(text) <= MAX_EXPONENT and text.replace(".", "", 1).isdecimal():
        return Decimal(text)
    mantissa, _, exponent = text.lower().partition("e")
    if sum(character.isdigit() for character in mantissa) > MAX_DIGITS:
        return text
    if exponent and (len(exponent) > 4 or abs(int(exponent)) > MAX_EXPONENT):
        return text
    return Decimal(text)


def _read_integer(text: str) -> int | str:
    return int(text) if len(text) <= MAX_DIGITS else text


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("A member name occurs twice in one JSON object.")
    return members


# Made once: making one takes longer than reading a small body.
_DECODER = json.JSONDecoder(
    parse_float=read_number,
    parse_int=_read_integer,
    parse_constant=str,
    object_pairs_hook=_unique,
)


def read_json(body: bytes) -> Any:
    """Read RFC 8259 JSON, strictly: no duplicate names, no lone surrogates, numbers kept exact.

    Raises: ValueError, RecursionError when it is not JSON.
    """
    data = _DECODER.decode(body.decode())
    if b"\\u" in body:
        json.dumps(data, default=str, ensure_ascii=False).encode()
    return data


def is_deeper(data: object, levels: int) -> bool:
    """Return whether objects and arrays are nested more than so many levels deep, a scalar none."""
    inside = [data]
    for _ in range(levels + 1):
        inside = [
            member
            for each in inside
            if isinstance(each, dict | list)
            for member in (each.values() if isinstance(each, dict) else each)
        ]
        if not inside:
            return False
    return True


def timestamp(moment: datetime) -> str:
    """Write an aware moment as RFC 3339, microseconds only where there are any."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _default(value: object) -> str:
    match value:
        case Decimal():
            return money.plain(value)
        case datetime():
            return timestamp(value)
        case UUID() | date():
            return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form.")


# Made once, like the decoder.
_ENCODER = json.JSONEncoder(default=_default, ensure_ascii=False, separators=(",", ":"))


def to_json(data: object) -> str:
    """Render an answer; the same text is stored for replays."""
    return _ENCODER.encode(data)
