"""Set-based writes: any number of rows in one statement, on the hot paths.

Rows travel as one array per column (`unnest`), so the statement's text does not depend on their
number and the server plans it once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from django.db import connection, models


def _column_type(field: models.Field[Any, Any]) -> str:
    """Give the array element type of a column, as PostgreSQL names it."""
    declared = field.db_type(connection)
    assert declared is not None, f"{field} has no column"
    return {"varchar": "text", "serial": "integer", "bigserial": "bigint"}.get(
        declared.partition("(")[0], declared
    )


def _fields(model: type[models.Model], names: Sequence[str]) -> list[models.Field[Any, Any]]:
    by_attname = {f.attname: f for f in model._meta.concrete_fields}
    return [by_attname[name] for name in names]


@cache
def _shape(
    model: type[models.Model], names: tuple[str, ...]
) -> tuple[list[str], list[str], list[bool]]:
    """Columns, types, and which of them hold JSON."""
    fields = _fields(model, names)
    return (
        [connection.ops.quote_name(str(f.column)) for f in fields],
        [_column_type(f) for f in fields],
        [isinstance(f, models.JSONField) for f in fields],
    )


def _arrays(rows: Sequence[Sequence[Any]], is_json: Sequence[bool]) -> list[list[Any]]:
    """Turn rows into one list a column; JSON travels as text and is cast by the server."""
    return [
        [json.dumps(value, ensure_ascii=False) if encoded else value for value in column]
        for encoded, column in zip(is_json, zip(*rows, strict=True), strict=True)
    ]


def _unnest(types: Sequence[str], is_json: Sequence[bool]) -> str:
    return ", ".join(
        f"%s::{'text' if encoded else kind}[]" for kind, encoded in zip(types, is_json, strict=True)
    )


def _selected(types: Sequence[str], is_json: Sequence[bool]) -> list[str]:
    return [
        f"r.c{n}::{kind}" if encoded else f"r.c{n}"
        for n, (kind, encoded) in enumerate(zip(types, is_json, strict=True))
    ]


def insert_rows(
    model: type[models.Model],
    names: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    ignore_conflicts: bool = False,
    returning: str = "",
) -> list[Any]:
    """Insert rows in one statement; array columns cannot travel this way.

    `names` are attribute names (`book_id`). With `ignore_conflicts`, rows that meet a unique
    constraint are passed over. `returning` names one attribute: its values of the rows that were
    inserted are given back.
    """
    if not rows:
        return []
    columns, types, is_json = _shape(model, tuple(names))
    selected = ", ".join(_selected(types, is_json))
    aliases = ", ".join(f"c{n}" for n in range(len(columns)))
    statement = (
        f"INSERT INTO {connection.ops.quote_name(model._meta.db_table)} ({', '.join(columns)}) "  # noqa: S608
        f"SELECT {selected} FROM unnest({_unnest(types, is_json)}) AS r({aliases})"
    )
    if ignore_conflicts:
        statement += " ON CONFLICT DO NOTHING"
    if returning:
        statement += f" RETURNING {_shape(model, (returning,))[0][0]}"
    with connection.cursor() as cursor:
        cursor.execute(statement, _arrays(rows, is_json))
        return [value for (value,) in cursor.fetchall()] if returning else []


def insert_models(model: type[models.Model], instances: Sequence[models.Model]) -> None:
    """Insert unsaved instances whose primary keys are made here."""
    names = [f.attname for f in model._meta.concrete_fields]
    insert_rows(model, names, [[getattr(i, name) for name in names] for i in instances])


def update_rows(
    model: type[models.Model], key: str, names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Update rows in one statement; each row is the key, then the values of `names`."""
    if not rows:
        return
    columns, types, is_json = _shape(model, (key, *names))
    values = _selected(types, is_json)
    assignments = ", ".join(f"{c} = {v}" for c, v in zip(columns[1:], values[1:], strict=True))
    aliases = ", ".join(f"c{n}" for n in range(len(columns)))
    table = connection.ops.quote_name(model._meta.db_table)
    statement = (
        f"UPDATE {table} AS t SET {assignments} "  # noqa: S608
        f"FROM unnest({_unnest(types, is_json)}) AS r({aliases}) WHERE t.{columns[0]} = r.c0"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, _arrays(rows, is_json))
