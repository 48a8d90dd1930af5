"""Whether the database's tables are those of this version, whatever its history of migrations says.

The names of applied migrations do not prove it: a database may have been changed by hand, or
restored in part. What later versions added does no harm, so that the old one serves until it is
replaced.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from django.apps import AppConfig, apps
from django.core import checks
from django.db import connection, models
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder

WHAT_TO_DO: Final = (
    "Run: manage.py migrate. If that finds nothing to apply, the database was changed by hand or "
    "restored in part: restore a backup that is whole."
)
# Applied wherever a version before 0.1.0 has migrated, and by no version since; the initial
# migrations were written anew under the same names (docs/decisions.md#d240).
MARK_OF_FORMER: Final = ("ledger", "0004_exports")
MADE_BEFORE: Final = "it was made by a development version before 0.1.0"
BEGIN_ANEW: Final = (
    "Such a database is not upgraded: go back to the version that made it, or begin with an empty "
    "database (of development: stop it by manage.py devdb stop, and remove var/pg)."
)

# What Django writes, as the database calls it.
_NAMES_OF_TYPES: Final = {
    "char": "character",
    "time": "time without time zone",
    "timestamp": "timestamp without time zone",
    "varbit": "bit varying",
    "varchar": "character varying",
}

_COLUMNS: Final = """
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
           a.atthasdef OR a.attidentity <> ''
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE c.relkind IN ('r', 'p') AND c.relnamespace = current_schema()::regnamespace
        AND a.attnum > 0 AND NOT a.attisdropped
"""
_NAMES: Final = """
    SELECT conname FROM pg_constraint WHERE connamespace = current_schema()::regnamespace
    UNION SELECT relname FROM pg_class
    WHERE relkind IN ('i', 'I') AND relnamespace = current_schema()::regnamespace
"""


@dataclass(frozen=True, slots=True)
class Column:
    """A column as the database has it."""

    type: str
    not_null: bool
    fills_itself: bool


def faults() -> list[str]:
    """Return what the database lacks, or has otherwise than the models say; nothing when it fits.

    Migrations that are not applied go first, since they explain the rest.
    """
    if is_former():
        return [MADE_BEFORE]
    if missing := unapplied_migrations():
        return [f"{len(missing)} migrations are not applied (first: {missing[0]})"]
    with connection.cursor() as cursor:
        cursor.execute(_COLUMNS)
        tables: dict[str, dict[str, Column]] = {}
        for table, name, *column in cursor.fetchall():
            tables.setdefault(table, {})[name] = Column(*column)
        cursor.execute(_NAMES)
        names = {name for (name,) in cursor.fetchall()}
    return [
        fault
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed and not model._meta.proxy
        for fault in _faults_of(model, tables, names)
    ]


def sentence(found: list[str]) -> str:
    """Return what is wrong and what to do, in a sentence with the first few faults."""
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    advice = BEGIN_ANEW if found == [MADE_BEFORE] else WHAT_TO_DO
    return f"The database is not this version's: {'; '.join(found[:5])}{more}. {advice}"


def is_former() -> bool:
    """Return whether a version before 0.1.0 made the database."""
    return MARK_OF_FORMER in MigrationRecorder(connection).applied_migrations()


def check_not_former(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None, **kwargs: object
) -> list[checks.CheckMessage]:
    """Return an error before `migrate` would add to a database that a version before 0.1.0 made."""
    if not databases or not is_former():
        return []
    return [checks.Error(sentence([MADE_BEFORE]), id="aforo.E001")]


def unapplied_migrations() -> list[str]:
    """Return the migrations that the database lacks, as app.name, in the order of applying."""
    loader = MigrationExecutor(connection).loader
    graph = loader.graph
    ordered = dict.fromkeys(
        name for leaf in graph.leaf_nodes() for name in graph.forwards_plan(leaf)
    )
    # One by one: a plan to the last ones takes for granted what goes before an applied one.
    return [
        f"{app}.{name}" for app, name in ordered if (app, name) not in loader.applied_migrations
    ]


def _faults_of(
    model: type[models.Model], tables: dict[str, dict[str, Column]], names: set[str]
) -> Iterator[str]:
    table = model._meta.db_table
    columns = tables.get(table)
    if columns is None:
        yield f"the table {table} is missing"
        return
    for name, fault in _faults_of_columns(model, columns):
        yield f"{table}.{name} {fault}"
    for named in (*model._meta.constraints, *model._meta.indexes):
        if named.name not in names:
            yield f"{named.name} of {table} is missing"


def _faults_of_columns(
    model: type[models.Model], columns: dict[str, Column]
) -> Iterator[tuple[str, str]]:
    fields = {field.column: field for field in model._meta.local_concrete_fields}
    for name, field in fields.items():
        if name not in columns:
            yield name, "is missing"
        elif fault := _differs(field, columns[name]):
            yield name, fault
    for name in sorted(columns.keys() - fields.keys()):
        if columns[name].not_null and not columns[name].fills_itself:
            yield name, "is unknown to this version and must be filled"


def _differs(field: models.Field[object, object], column: Column) -> str:
    if isinstance(field, models.AutoField):
        # Django's own tables kept the narrower numbers of earlier versions.
        return ""
    base, bracket, rest = re.split(r"([(\[]|$)", field.db_type(connection) or "", maxsplit=1)
    wanted = _NAMES_OF_TYPES.get(base, base) + (bracket + rest).replace(", ", ",")
    if wanted and wanted != column.type:
        return f"is {column.type} instead of {wanted}"
    # Whether a generated column may be empty is a constraint's affair.
    if not field.generated and column.not_null == field.null:
        return "may be empty" if field.null is False else "may not be empty"
    return ""
