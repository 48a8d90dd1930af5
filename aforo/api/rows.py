"""Lists that are read as columns: a row of the database becomes a row of the answer, without a
model instance, a serializer or a statement of its own.

Of a page of fifty rows those three were most of the time (docs/performance.md). The serializer of
the answer still declares its members, in their order, and is what the document describes; a list
reads the columns that its fields name. Values go to the renderer as they are: it writes decimals,
times and ids as the fields do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, ClassVar, TypeVar

from django.db.models import Model
from django.db.models.expressions import Combinable
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer, Serializer, SerializerMethodField

from aforo.api.pagination import NewestFirst
from aforo.api.views import ApiView

Row = dict[str, Any]
Column = str | Combinable
# By the member of the answer; none where it is read otherwise.
Columns = Mapping[str, "Column | Columns | None"]
M = TypeVar("M", bound=Model)


class RowsView(ApiView, generics.ListAPIView[M]):
    # The columns that a field's source does not name, by member; a member that has neither is None
    # until `complete` sets it.
    columns: ClassVar[Columns] = {}
    # Columns that `complete` needs beside those of the answer.
    beside: ClassVar[tuple[Column, ...]] = ()

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return a page."""
        reader = _reader(type(self))
        queryset = self.filter_queryset(self.get_queryset())
        assert isinstance(self.paginator, NewestFirst)
        place = self.paginator.get_ordering(request, queryset, self)[0].lstrip("-")
        found: Any = queryset.values_list(*reader.columns, *self.beside, place)
        page: Sequence[tuple[Any, ...]] = self.paginate_queryset(found) or ()
        rows = [reader.read(row) for row in page]
        if rows:
            width = len(reader.columns)
            self.complete(rows, [row[width:-1] for row in page])
        return self.get_paginated_response(rows)

    def complete(self, rows: Sequence[Row], beside: Sequence[tuple[Any, ...]]) -> None:
        """Set the members that are read for all rows at once."""


class _Reader:
    """The columns of an answer, and how a row of them is arranged."""

    def __init__(self, serializer: BaseSerializer[Any], given: Columns) -> None:
        self.columns: list[Column] = []
        self.read = self._arranged(_members(serializer, given))

    def _arranged(self, members: Columns) -> Callable[[tuple[Any, ...]], Row]:
        """Return what makes an object with these members of a row, and add their columns."""
        names, places = tuple(members), list[int]()
        parts: list[tuple[str, Callable[[tuple[Any, ...]], Row | None]]] = []
        for name, column in members.items():
            places.append(0)
            if column is None:
                parts.append((name, lambda row: None))
            elif isinstance(column, Mapping):
                parts.append((name, self._arranged(column)))
            else:
                places[-1] = len(self.columns)
                self.columns.append(column)
        # Of one place alone it would return no tuple.
        pick = itemgetter(*places, 0)

        def read(row: tuple[Any, ...]) -> Row:
            made: Row = dict(zip(names, pick(row), strict=False))
            for name, part in parts:
                made[name] = part(row)
            return made

        return read


_READERS: dict[type[RowsView[Any]], _Reader] = {}


def _reader(view: type[RowsView[Any]]) -> _Reader:
    if view not in _READERS:
        assert view.serializer_class is not None, "a list says what its rows look like"
        _READERS[view] = _Reader(view.serializer_class(), view.columns)
    return _READERS[view]


def _members(serializer: BaseSerializer[Any], given: Columns, path: str = "") -> Columns:
    """Return the column of each member of an answer."""
    assert isinstance(serializer, Serializer)
    found: dict[str, Column | Columns | None] = {}
    for name, field in serializer.fields.items():
        source = "" if field.source == "*" else str(field.source).replace(".", "__")
        if name in given:
            found[name] = given[name]
        elif isinstance(field, SerializerMethodField):
            found[name] = None
        elif isinstance(field, Serializer):
            found[name] = _members(field, {}, f"{path}{source}__" if source else path)
        else:
            found[name] = path + source
    return found
