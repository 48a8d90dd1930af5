"""Snapshots of what a request may change in memory, for requests that are refused half-way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any


class Snapshot:
    """The values of some attributes of some objects at one moment."""

    def __init__(self) -> None:
        self._values: list[tuple[object, str, Any]] = []

    def keep(
        self,
        every: Iterable[object],
        *names: str,
        copied: Callable[[Any], Any] = lambda value: value,
    ) -> None:
        """Add attributes of objects; collections are `copied`."""
        self._values += [
            (each, name, copied(getattr(each, name))) for each in every for name in names
        ]

    def restore(self) -> None:
        """Set all attributes as they were."""
        for each, name, value in self._values:
            setattr(each, name, value)
