"""Examples of the OpenAPI document, made of what a test has sent and was answered.

What differs from run to run is replaced by what does not: ids are counted, times that are no
midnight are one noon, dates that follow the clock are that noon's day, hashes and cursors are
spelled out. Long lists are cut.
"""

from __future__ import annotations

import json
import re
from typing import Any

MOST = 2
# Numbers of the database's own counters.
COUNTED = {"position", "after", "replaces"}
# Days that follow from the clock of the run.
DATED = {"accounting_date"}
DAY = "2026-01-31"
NOON = f"{DAY}T12:00:00Z"
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_HASH = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT(?!00:00:00Z)\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)")
_SECRET = re.compile(r"whsec_[\w+/=]+")
_KEY = re.compile(r"(sk_(?:test|live)_)[0-9a-f]{8}\b")
_CURSOR = re.compile(r"(cursor|after)=[^&]+")


def _is_counted(name: str, value: Any) -> bool:
    return (name in COUNTED and value is not None) or (name == "id" and str(value).isdecimal())


class _Stable:
    """Replaces what differs from run to run, the same by the same."""

    def __init__(self) -> None:
        self.ids: dict[str, str] = {}

    def value(self, value: Any) -> Any:
        """Return a JSON value with its texts replaced, its lists cut."""
        match value:
            case dict():
                return {self.text(name): self.member(name, value[name]) for name in value}
            case list():
                return [self.value(inner) for inner in value[:MOST]]
            case str():
                return self.text(value)
        return value

    def member(self, name: str, value: Any) -> Any:
        """Return the value of a field, replaced by its name or by what it is."""
        if name in DATED:
            return DAY
        return type(value)(7) if _is_counted(name, value) else self.value(value)

    def text(self, text: str) -> str:
        """Return a text with its ids, hashes, times and cursors replaced."""
        text = _UUID.sub(lambda found: self._id(found[0]), text)
        text = _SECRET.sub("whsec_...", _HASH.sub("5f" * 32, text))
        text = _KEY.sub(r"\g<1>5f5f5f5f", text)
        text = _CURSOR.sub(r"\1=...", text.replace("http://testserver", "http://localhost:8000"))
        return _TIME.sub(NOON, text)

    def _id(self, given: str) -> str:
        number = len(self.ids) + 1
        return self.ids.setdefault(given, f"01980c3e-7a00-7000-8000-{number:012}")


def record(
    into: dict[str, dict[str, Any]], operation: dict[str, Any], sent: bytes, status: str, body: Any
) -> None:
    """Record the first answer of a status to an operation, and what was sent for it."""
    example = into.setdefault(operation["operationId"], {"answers": {}})
    if status in example["answers"]:
        return
    stable = _Stable()
    if "requestBody" in operation and status.startswith("2") and "request" not in example:
        example["request"] = stable.value(json.loads(sent or b"{}"))
    example["answers"][status] = stable.value(body)


def text_of(examples: dict[str, dict[str, Any]]) -> str:
    """Return the file of the examples."""
    return json.dumps(examples, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
