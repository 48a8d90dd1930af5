"""Set-based reads and writes: any number of rows in one statement, on the hot paths.

Rows travel as one array per column (`unnest`), and what is looked for as an array too, so the
statement's text does not depend on their number. Nothing is compiled by the ORM, which took a
quarter of a debit's time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import msgspec
from django.db import connection, models

from aforo.errors import InvariantBroken

M = TypeVar("M", bound=models.Model)
# Numbers, ids, dates and times need no quotes in an array literal, and are most of the rows.
_BARE = frozenset(
    {
        "smallint",
        "integer",
        "bigint",
        "numeric",
        "boolean",
        "uuid",
        "date",
        "timestamp with time zone",
    }
)


@dataclass(frozen=True, slots=True)
class _Column:
    """A column, the type of the array that its values travel in, and how one is written there."""

    name: str
    travels_as: str
    stored_as: str
    write: Callable[[Any], str]


def _quoted(text: str) -> str:
    """Write text as an element of an array literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _json(value: object) -> str:
    return _quoted(msgspec.json.encode(value).decode())


def _column(field: models.Field[Any, Any]) -> _Column:
    name = connection.ops.quote_name(str(field.column))
    declared = str(field.db_type(connection))
    if isinstance(field, models.JSONField):
        return _Column(name, "text", declared, _json)
    base = declared.partition("(")[0]
    if not declared.endswith("[]"):
        if base in {"varchar", "text"}:
            return _Column(name, "text", "text", _quoted)
        if base in _BARE:
            return _Column(name, declared, declared, str)
    raise InvariantBroken(f"{field} is {declared}, which cannot travel in an array.")


@cache
def _columns(model: type[models.Model], names: tuple[str, ...]) -> tuple[_Column, ...]:
    by_attname = {f.attname: f for f in model._meta.concrete_fields}
    return tuple(_column(by_attname[name]) for name in names)


def _arrays(rows: Sequence[Sequence[Any]], columns: Sequence[_Column]) -> list[str]:
    """Return one array literal for each column of the rows: several times faster than the driver's
    own.
    """
    literals = []
    for column, values in zip(columns, zip(*rows, strict=True), strict=True):
        write, first = column.write, values[0]
        if len(values) > 1 and values.count(first) == len(values):
            # As with the time of receipt: written once.
            elements = ["NULL" if first is None else write(first)] * len(values)
        else:
            elements = ["NULL" if value is None else write(value) for value in values]
        literals.append(f"{{{','.join(elements)}}}")
    return literals


def _unnest(columns: Sequence[_Column]) -> str:
    arrays = ", ".join(f"%s::{column.travels_as}[]" for column in columns)
    aliases = ", ".join(f"c{n}" for n in range(len(columns)))
    return f"unnest({arrays}) AS r({aliases})"


def from_rows(
    model: type[models.Model], names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> tuple[str, list[str]]:
    """Return rows as what a statement of the caller's own reads from, called `r` with the model's
    names of columns, and the parameters of that. JSON is read as text.
    """
    columns = _columns(model, tuple(names))
    arrays = ", ".join(f"%s::{column.travels_as}[]" for column in columns)
    called = ", ".join(column.name for column in columns)
    return f"unnest({arrays}) AS r({called})", _arrays(rows, columns)


def _selected(columns: Sequence[_Column]) -> list[str]:
    return [
        f"r.c{n}" if column.travels_as == column.stored_as else f"r.c{n}::{column.stored_as}"
        for n, column in enumerate(columns)
    ]


@cache
def _selection(model: type[models.Model]) -> tuple[str, list[str], list[tuple[int, Any]]]:
    """Return the statement's head, the attributes that it reads, and their readers."""
    fields = model._meta.concrete_fields
    quote = connection.ops.quote_name
    columns = ", ".join(f"t.{quote(str(field.column))}" for field in fields)
    head = f"SELECT {columns} FROM {quote(model._meta.db_table)} AS t"  # noqa: S608
    readers = [(n, f.from_db_value) for n, f in enumerate(fields) if hasattr(f, "from_db_value")]
    return head, [field.attname for field in fields], readers


def select_models(model: type[M], rest: str, parameters: Sequence[Any]) -> list[M]:
    """Read whole instances. `rest` is what follows FROM, in SQL of the caller's own, never made
    of input; the model's table is called `t` there.
    """
    head, names, readers = _selection(model)
    with connection.cursor() as cursor:
        cursor.execute(f"{head} {rest}", parameters)
        rows = cursor.fetchall()
    for n, read in readers:
        rows = [(*row[:n], read(row[n], None, connection), *row[n + 1 :]) for row in rows]
    return [model.from_db(connection.alias, names, row) for row in rows]


def select_joined(
    models_as: Mapping[str, type[models.Model]],
    rest: str,
    parameters: Sequence[Any],
    *,
    extra: Sequence[str] = (),
) -> list[tuple[Any, ...]]:
    """Read rows of several tables, each as whole instances of its model, None where an outer join
    found nothing, and then the `extra` columns.

    `models_as` names the models by their aliases in `rest`, which is what follows SELECT's columns,
    in SQL of the caller's own, as are the `extra` columns.
    """
    columns = [_columns_of(alias, model) for alias, model in models_as.items()]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join([*columns, *extra])} {rest}", parameters)
        rows = cursor.fetchall()
    return [_instances(list(models_as.values()), row) for row in rows]


@cache
def _columns_of(alias: str, model: type[models.Model]) -> str:
    quote = connection.ops.quote_name
    return ", ".join(f"{alias}.{quote(str(f.column))}" for f in model._meta.concrete_fields)


def _instances(every: Sequence[type[models.Model]], row: Sequence[Any]) -> tuple[Any, ...]:
    made, start = list[Any](), 0
    for model in every:
        _, names, readers = _selection(model)
        values = list(row[start : start + len(names)])
        start += len(names)
        for n, read in readers:
            values[n] = read(values[n], None, connection)
        is_there = any(value is not None for value in values)
        made.append(model.from_db(connection.alias, names, values) if is_there else None)
    return (*made, *row[start:])


def insert_rows(
    model: type[models.Model],
    names: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    ignore_conflicts: bool = False,
) -> int:
    """Insert rows in one statement; return how many were inserted.

    `names` are attribute names (`book_id`). With `ignore_conflicts`, rows that meet a unique
    constraint are passed over. Raises: InvariantBroken for a column, such as an array, that cannot
    travel in an array.
    """
    if not rows:
        return 0
    columns = _columns(model, tuple(names))
    statement = (
        f"INSERT INTO {connection.ops.quote_name(model._meta.db_table)} "  # noqa: S608
        f"({', '.join(column.name for column in columns)}) "
        f"SELECT {', '.join(_selected(columns))} FROM {_unnest(columns)}"
    )
    if ignore_conflicts:
        statement += " ON CONFLICT DO NOTHING"
    with connection.cursor() as cursor:
        cursor.execute(statement, _arrays(rows, columns))
        inserted: int = cursor.rowcount
    return inserted


def insert_models(model: type[models.Model], instances: Sequence[models.Model]) -> None:
    """Insert unsaved instances whose primary keys are made here; the database computes generated
    columns.
    """
    names = [f.attname for f in model._meta.concrete_fields if not f.generated]
    insert_rows(model, names, [[getattr(i, name) for name in names] for i in instances])


def update_rows(
    model: type[models.Model], key: str, names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Update rows in one statement; each row is the key, then the values of `names`."""
    if not rows:
        return
    columns = _columns(model, (key, *names))
    values = _selected(columns)
    assignments = ", ".join(
        f"{column.name} = {value}" for column, value in zip(columns[1:], values[1:], strict=True)
    )
    statement = (
        f"UPDATE {connection.ops.quote_name(model._meta.db_table)} AS t SET {assignments} "  # noqa: S608
        f"FROM {_unnest(columns)} WHERE t.{columns[0].name} = {values[0]}"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, _arrays(rows, columns))
