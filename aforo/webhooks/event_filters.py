"""Which events are meant: a type by its name, or all of a subject, `subscription.*`."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Q

from aforo.errors import FieldError, Invalid
from aforo.webhooks.models import EventType


def check(patterns: Sequence[str], pointer: str) -> None:
    """Check that each pattern names something that is told.

    Raises: Invalid (`unknown_event_type`).
    """
    known = {*EventType.values, *(f"{value.partition('.')[0]}.*" for value in EventType.values)}
    for number, pattern in enumerate(patterns):
        if pattern not in known:
            where = pointer.format(number)
            detail = f"There is no such event. Known: {', '.join(sorted(known))}."
            raise Invalid([FieldError(where, "unknown_event_type", detail)])


def matching(pattern: str) -> Q:
    """Return the condition of the events that a pattern names."""
    if pattern.endswith(".*"):
        return Q(type__startswith=pattern.removesuffix("*"))
    return Q(type=pattern)
