"""Read rows of several tables in one statement: one round trip, one plan."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from django.db import connection, models

from aforo.database.bulk import instance_of


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one table that are read together with others; `rest` as for `select_models`."""

    model: type[models.Model]
    rest: str
    parameters: Sequence[Any]

    @property
    def of(self) -> type[models.Model]:
        return self.model


@dataclass(frozen=True, slots=True)
class Columns:
    """Values that are read together with rows of tables: SQL of the caller's own with the type of
    each, and what follows SELECT's columns, FROM included.
    """

    columns: tuple[tuple[str, str], ...]
    rest: str
    parameters: Sequence[Any]

    @property
    def of(self) -> tuple[tuple[str, str], ...]:
        return self.columns


AnyPart = Part | Columns
_Of = type[models.Model] | tuple[tuple[str, str], ...]


def among(column: str, values: Collection[Any]) -> tuple[str, list[Any]]:
    """Return the condition that a column has one of some values, with its parameter.

    A single value is not looked for as an array: of an array nobody knows the length, so that
    PostgreSQL plans such a statement anew each time, which takes longer than executing it.
    """
    if len(values) == 1:
        return f"{column} = %s", [*values]
    return f"{column} = ANY(%s)", [list(values)]


@dataclass(frozen=True, slots=True)
class Together:
    """What was read in one statement, and when that began to find rows, by the database's clock."""

    read_at: datetime | None
    rows: Sequence[list[Any]]


def select_together(parts: Sequence[AnyPart]) -> Together:
    """Read whole instances of several tables, or rows of values, in one statement: for each part a
    list of its own, in no order.

    The tables share columns of the result by their types, so that a row is hardly wider than that
    of the widest of them.
    """
    statement, places = _together(tuple((part.of, part.rest) for part in parts))
    found: list[list[Any]] = [[] for _ in parts]
    read_at = None
    with connection.cursor() as cursor:
        cursor.execute(statement, [each for part in parts for each in part.parameters])
        for n, read_at, *row in cursor.fetchall():  # noqa: B007
            part, values = parts[n], [row[place] for place in places[n]]
            found[n].append(
                values if isinstance(part, Columns) else instance_of(part.model, values)
            )
    return Together(read_at, found)


@cache
def _together(parts: tuple[tuple[_Of, str], ...]) -> tuple[str, list[list[int]]]:
    """Return the statement of `select_together`, and where in its rows each part's columns are."""
    shared: list[str] = []
    sources = [_source(of) for of, _ in parts]
    places = [_places([type_ for _, type_ in columns], shared) for columns, _ in sources]
    selects = []
    for n, ((named, source), (_, rest)) in enumerate(zip(sources, parts, strict=True)):
        columns = [f"NULL::{type_}" for type_ in shared]
        for place, (each, type_) in zip(places[n], named, strict=True):
            columns[place] = f"{each}::{type_}"
        selects.append(f"SELECT {n}, clock_timestamp(), {', '.join(columns)} {source} {rest}")
    return " UNION ALL ".join(selects), places


def _source(of: _Of) -> tuple[Sequence[tuple[str, str]], str]:
    """Return what a part reads, with its types, and from where, unless the part says it."""
    if isinstance(of, tuple):
        return of, ""
    columns, quote = [], connection.ops.quote_name
    for each in of._meta.concrete_fields:
        base, bracket, rest = str(each.db_type(connection)).partition("(")
        of_text = "text" if base == "varchar" else base
        type_ = of_text + (rest.partition(")")[2] if bracket else "")
        columns.append((f"t.{quote(str(each.column))}", type_))
    return columns, f"FROM {quote(of._meta.db_table)} AS t"


def _places(types: Sequence[str], shared: list[str]) -> list[int]:
    """Return the place of each column among the `shared` types, which grow where they must."""
    places: list[int] = []
    for type_ in types:
        free = (n for n, t in enumerate(shared) if t == type_ and n not in places)
        place = next(free, len(shared))
        if place == len(shared):
            shared.append(type_)
        places.append(place)
    return places
