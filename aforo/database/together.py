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


def select_together(parts: Sequence[Part]) -> Together:
    """Read whole instances of several tables in one statement: for each part a list of its own, in
    no order.

    The tables share columns of the result by their types, so that a row is hardly wider than that
    of the widest of them.
    """
    statement, places = _together(tuple((part.model, part.rest) for part in parts))
    found: list[list[Any]] = [[] for _ in parts]
    read_at = None
    with connection.cursor() as cursor:
        cursor.execute(statement, [each for part in parts for each in part.parameters])
        for n, read_at, *row in cursor.fetchall():  # noqa: B007
            found[n].append(instance_of(parts[n].model, [row[place] for place in places[n]]))
    return Together(read_at, found)


@cache
def _together(parts: tuple[tuple[type[models.Model], str], ...]) -> tuple[str, list[list[int]]]:
    """Return the statement of `select_together`, and where in its rows each part's columns are."""
    shared: list[str] = []
    places = [_places(model, shared) for model, _ in parts]
    selects = []
    for n, (model, rest) in enumerate(parts):
        columns = [f"NULL::{type_}" for type_ in shared]
        for place, each in zip(places[n], model._meta.concrete_fields, strict=True):
            columns[place] = f"t.{connection.ops.quote_name(str(each.column))}::{shared[place]}"
        table = connection.ops.quote_name(model._meta.db_table)
        selects.append(
            f"SELECT {n}, clock_timestamp(), {', '.join(columns)} FROM {table} AS t {rest}"  # noqa: S608
        )
    return " UNION ALL ".join(selects), places


def _places(model: type[models.Model], shared: list[str]) -> list[int]:
    """Return the place of each column among the `shared` types, which grow where they must."""
    places: list[int] = []
    for each in model._meta.concrete_fields:
        base, bracket, rest = str(each.db_type(connection)).partition("(")
        of_text = "text" if base == "varchar" else base
        type_ = of_text + (rest.partition(")")[2] if bracket else "")
        free = (n for n, t in enumerate(shared) if t == type_ and n not in places)
        place = next(free, len(shared))
        if place == len(shared):
            shared.append(type_)
        places.append(place)
    return places
