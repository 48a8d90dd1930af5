"""JSON as tests write it, with numbers that no Python type could hold."""

from __future__ import annotations

import json
from typing import Any


class Number(str):
    """A number as it is to stand in the body, which no Python type could hold."""

    __slots__ = ()


def written(value: Any) -> str:
    """Write JSON, numbers as they were drawn."""
    match value:
        case Number():
            return str(value)
        case dict():
            members = (f"{json.dumps(name)}:{written(each)}" for name, each in value.items())
            return f"{{{','.join(members)}}}"
        case list():
            return f"[{','.join(map(written, value))}]"
    return json.dumps(value)
