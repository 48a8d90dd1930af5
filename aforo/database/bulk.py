"""Set-based reads and writes: any number of rows in one statement, on the hot paths.

Rows travel as one array per column (`unnest`), and what is looked for as an array too, so the
statement's text does not depend on their number. Nothing is compiled by the ORM, which took a
quarter of a debit's time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any, TypeVar

import msgspec
from django.db import connection, models
from django.db.models.base import ModelState

from aforo.errors import InvariantBroken

M = TypeVar("M", bound=models.Model)
NOTHING: Mapping[str, str] = {}
_UNLESS_TAKEN = " ON CONFLICT DO NOTHING"
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


def _unnest(columns: Sequence[_Column], called: Sequence[str] = ()) -> str:
    arrays = ", ".join(f"%s::{column.travels_as}[]" for column in columns)
    names = called or [f"c{n}" for n in range(len(columns))]
    return f"unnest({arrays}) AS r({', '.join(names)})"


def from_rows(
    model: type[models.Model],
    names: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    also: Mapping[str, str] = NOTHING,
) -> tuple[str, list[str]]:
    """Return rows as what a statement of the caller's own reads from, called `r` with the model's
    names of columns, and the parameters of that. JSON is read as text.

    `also` are columns that the model does not have, by name, with types that need no quotes.
    """
    columns = [*_columns(model, tuple(names)), *(_Column(n, t, t, str) for n, t in also.items())]
    return _unnest(columns, [column.name for column in columns]), _arrays(rows, columns)


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
    head, _, _ = _selection(model)
    with connection.cursor() as cursor:
        cursor.execute(f"{head} {rest}", parameters)
        return [instance_of(model, row) for row in cursor.fetchall()]


def instance_of(model: type[M], row: Sequence[Any]) -> M:
    """Return the instance of a row, as `Model.from_db` does at several times the price: it asks
    every field how it is set, and sends two signals for which nobody waits.
    """
    _, names, readers = _selection(model)
    made = model.__new__(model)
    values = made.__dict__
    values.update(zip(names, row, strict=True))
    for n, read in readers:
        values[names[n]] = read(row[n], None, connection)
    made._state = ModelState()
    made._state.adding, made._state.db = False, connection.alias
    return made


@cache
def _defaults(model: type[models.Model]) -> tuple[dict[str, Any], dict[str, Callable[[], Any]]]:
    """Return the constants and the functions that fill columns that nobody names."""
    constants, made = dict[str, Any](), dict[str, Callable[[], Any]]()
    for each in model._meta.concrete_fields:
        if each.has_default() and callable(each.default):
            made[each.attname] = each.default
        elif not each.generated:
            constants[each.attname] = each.get_default()
    return constants, made


def build(model: type[M], **columns: Any) -> M:
    """Return an instance to be inserted, by its columns' names (`book_id`), several times faster
    than its class does.
    """
    constants, made = _defaults(model)
    instance = model.__new__(model)
    values = instance.__dict__
    values.update(constants)
    values.update(columns)
    for name, make in made.items():
        if name not in columns:
            values[name] = make()
    instance._state = ModelState()
    return instance


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
        values = row[start : start + len(model._meta.concrete_fields)]
        start += len(values)
        is_there = any(value is not None for value in values)
        made.append(instance_of(model, values) if is_there else None)
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
    statement, parameters = _insertion(model, names, rows)
    if ignore_conflicts:
        statement += _UNLESS_TAKEN
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        inserted: int = cursor.rowcount
    return inserted


def _insertion(
    model: type[models.Model], names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> tuple[str, list[str]]:
    named = tuple(names)
    return _inserting(model, named), _arrays(rows, _columns(model, named))


@cache
def _inserting(model: type[models.Model], names: tuple[str, ...]) -> str:
    columns = _columns(model, names)
    return (
        f"INSERT INTO {connection.ops.quote_name(model._meta.db_table)} "  # noqa: S608
        f"({', '.join(column.name for column in columns)}) "
        f"SELECT {', '.join(_selected(columns))} FROM {_unnest(columns)}"
    )


@cache
def _updating(model: type[models.Model], names: tuple[str, ...]) -> tuple[str, str]:
    """Return the statement that updates rows, the first of `names` being their key, and which row
    of the table each is.
    """
    columns = _columns(model, names)
    values = _selected(columns)
    assignments = ", ".join(
        f"{column.name} = {value}" for column, value in zip(columns[1:], values[1:], strict=True)
    )
    table = connection.ops.quote_name(model._meta.db_table)
    statement = f"UPDATE {table} AS t SET {assignments} FROM {_unnest(columns)}"  # noqa: S608
    return statement, f"t.{columns[0].name} = {values[0]}"


def insert_models(model: type[models.Model], instances: Sequence[models.Model]) -> None:
    """Insert unsaved instances whose primary keys are made here; the database computes generated
    columns.
    """
    writes = Writes()
    writes.insert_models(model, instances)
    writes.execute()


def update_rows(
    model: type[models.Model], key: str, names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Update rows in one statement; each row is the key, then the values of `names`."""
    writes = Writes()
    writes.update_rows(model, key, names, rows)
    writes.execute()


@dataclass(frozen=True, slots=True)
class _Write:
    """A part: `only` says which rows it updates, `after` what becomes of those not inserted."""

    statement: str
    parameters: Sequence[Any]
    only: str = ""
    after: str = ""


@cache
def _stored(model: type[models.Model]) -> tuple[str, ...]:
    return tuple(f.attname for f in model._meta.concrete_fields if not f.generated)


def _rows_of(
    model: type[models.Model], instances: Sequence[models.Model]
) -> tuple[Sequence[str], list[list[Any]]]:
    names = _stored(model)
    return names, [[each.__dict__[name] for name in names] for each in instances]


@dataclass(slots=True)
class Writes:
    """Rows of many tables that are written by one statement, in the order in which they were added.

    Each part begins when the one before it is done, so that the triggers of a row find what was
    added before it. What the statement itself reads is as it was before all of them; so no row may
    be written by two parts.
    """

    parts: list[_Write] = field(default_factory=list)
    # With its number of rows, and the error where it inserts fewer.
    last: tuple[_Write, int, Exception] | None = None

    def add(self, statement: str, parameters: Sequence[Any], *, only: str = "") -> None:
        """Add a statement of the caller's own up to FROM, with `only` as its condition."""
        self.parts.append(_Write(statement, parameters, only))

    def insert_rows(
        self, model: type[models.Model], names: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> None:
        """Add rows to be inserted; `names` are attribute names."""
        if rows:
            self.add(*_insertion(model, names, rows))

    def insert_models(self, model: type[models.Model], instances: Sequence[models.Model]) -> None:
        """Add unsaved instances, as they are now."""
        self.insert_rows(model, *_rows_of(model, instances))

    def insert_last(
        self, model: type[models.Model], instances: Sequence[models.Model], *, or_raise: Exception
    ) -> None:
        """Add unsaved instances to be inserted after everything else, once; `execute` raises where
        one of them meets a unique constraint.
        """
        assert self.last is None, "only what is written last is counted"
        if instances:
            part = _Write(*_insertion(model, *_rows_of(model, instances)), after=_UNLESS_TAKEN)
            self.last = part, len(instances), or_raise

    def update_rows(
        self,
        model: type[models.Model],
        key: str,
        names: Sequence[str],
        rows: Sequence[Sequence[Any]],
    ) -> None:
        """Add rows to be updated; each is the key, then the values of `names`."""
        if not rows:
            return
        named = (key, *names)
        statement, only = _updating(model, named)
        self.parts.append(_Write(statement, _arrays(rows, _columns(model, named)), only))

    def execute(self) -> None:
        """Write everything. Raises: the error of `insert_last`."""
        last = self.last
        parts = self.parts if last is None else [*self.parts, last[0]]
        self.parts, self.last = [], None
        if not parts:
            return
        parameters = [each for part in parts for each in part.parameters]
        with connection.cursor() as cursor:
            texts = tuple((part.statement, part.only, part.after) for part in parts)
            cursor.execute(_in_order(texts), parameters)
            if last is not None and cursor.rowcount < last[1]:
                raise last[2]


@lru_cache(maxsize=500)
def _in_order(parts: tuple[tuple[str, str, str], ...]) -> str:
    """Return one statement for all parts, from their texts. Counting what a part has written, which
    its successor does before its own first row, is what completes it.
    """
    texts: list[str] = []
    for n, (statement, which, after) in enumerate(parts):
        counted = [f"(SELECT count(*) FROM part{n - 1}) >= 0"] if n else []  # noqa: S608
        only = " AND ".join([*([which] if which else []), *counted])
        texts.append(f"{statement}{f' WHERE {only}' if only else ''}{after}")
    *before, last = texts
    named = ", ".join(f"part{n} AS ({text} RETURNING 1)" for n, text in enumerate(before))
    return f"WITH {named} {last}" if named else last
