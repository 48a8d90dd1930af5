"""Read instances with what they refer to in one statement of plain SQL, where the ORM would compile
it at every call: `select_related` for the hot paths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

from django.db import connection, models

from aforo.database import bulk

M = TypeVar("M", bound=models.Model)


@dataclass(slots=True)
class _Tables:
    """The tables of a statement by alias, in the order of their columns, and their joins."""

    models_as: dict[str, type[models.Model]]
    source: str
    # For each table but the first: that which refers to it, and by which field.
    references: list[tuple[int, models.ForeignKey[Any, Any]]] = field(default_factory=list)

    def refer(self, referrer: int, by: models.ForeignKey[Any, Any], *, optional: bool) -> int:
        """Join the table that a field of an earlier one refers to; return its number."""
        to, quote, number = by.related_model, connection.ops.quote_name, len(self.models_as)
        assert isinstance(to, type), "models are loaded"
        self.source += (
            f" {'LEFT JOIN' if optional else 'JOIN'} {quote(to._meta.db_table)} AS t{number}"
            f" ON t{number}.{quote(by.target_field.column)}"
            f" = {[*self.models_as][referrer]}.{quote(by.column)}"
        )
        self.models_as[f"t{number}"] = to
        self.references.append((referrer, by))
        return number


@cache
def _tables(model: type[models.Model], paths: tuple[str, ...]) -> _Tables:
    found = _Tables({"t": model}, f"FROM {connection.ops.quote_name(model._meta.db_table)} AS t")
    numbers, optional = {"": 0}, set[int]()
    for path in paths:
        at = ""
        for name in path.split("__"):
            referrer, at = numbers[at], f"{at}__{name}"
            if at in numbers:
                continue
            by = [*found.models_as.values()][referrer]._meta.get_field(name)
            assert isinstance(by, models.ForeignKey), f"{name} refers to one row"
            is_optional = by.null or referrer in optional
            numbers[at] = found.refer(referrer, by, optional=is_optional)
            optional |= {numbers[at]} if is_optional else set()
    return found


def select(model: type[M], paths: Sequence[str], rest: str, parameters: Sequence[Any]) -> list[M]:
    """Read whole instances, each with the rows that it refers to by `paths`, as `select_related`
    does. `rest` is what follows the joins, in SQL of the caller's own, never made of input; the
    model's table is called `t` there, and the others t1, t2 in the order of the paths.
    """
    tables = _tables(model, tuple(paths))
    rows = bulk.select_joined(tables.models_as, f"{tables.source} {rest}", parameters)
    for row in rows:
        for number, (referrer, by) in enumerate(tables.references, start=1):
            if row[referrer] is not None:
                by.set_cached_value(row[referrer], row[number])
    return [row[0] for row in rows]
