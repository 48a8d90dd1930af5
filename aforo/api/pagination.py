"""Lists: `{"data": [...], "next": url|null}`, newest first, by cursor.

A cursor is signed for the list and the order that it was made for, so none can be made up; what
is no page size is refused, not replaced.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core import signing
from django.db.models import QuerySet
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from aforo.errors import FieldError, Invalid

PAGE_SIZE_MAX = 500


class NewestFirst(CursorPagination):
    """Order by id, which ascends with time (UUID version 7 or an identity column)."""

    ordering: Any = "-pk"
    page_size_query_param = "page_size"
    max_page_size = PAGE_SIZE_MAX
    page_size_query_description = f"1 to {PAGE_SIZE_MAX}."

    @property
    def parameters(self) -> tuple[str, ...]:
        """Return the names of the query parameters that turn pages."""
        return ("cursor", "page_size")

    def paginate_queryset(
        self, queryset: QuerySet[Any], request: Request, view: Any = None
    ) -> list[Any] | None:
        """Return the rows of the page that was asked for.

        Raises: Invalid for a page size or a cursor that is none.
        """
        order: Sequence[str] = self.get_ordering(request, queryset, view)
        self.signer = signing.Signer(salt=f"cursor {request.path} {' '.join(order)}")
        return super().paginate_queryset(queryset, request, view)

    def get_page_size(self, request: Request) -> int | None:
        """Read how many rows are asked for."""
        asked = request.query_params.get("page_size")
        if asked is None:
            return self.page_size
        is_number = len(asked) <= 4 and asked.isascii() and asked.isdecimal()
        if not is_number or not 1 <= int(asked) <= PAGE_SIZE_MAX:
            detail = f"A page has 1 to {PAGE_SIZE_MAX} rows."
            raise Invalid([FieldError("/page_size", "invalid_page_size", detail)])
        return int(asked)

    def decode_cursor(self, request: Request) -> Cursor | None:
        """Read the cursor of the request back into the position that `next` was made of."""
        signed = request.query_params.get("cursor")
        if signed is None:
            return None
        try:
            offset, is_reverse, position = self.signer.unsign_object(signed)
        except (signing.BadSignature, ValueError) as error:
            detail = "This is no cursor of this list: follow `next` as it was answered."
            raise Invalid([FieldError("/cursor", "invalid_cursor", detail)]) from error
        return Cursor(offset=offset, reverse=is_reverse, position=position)

    def _get_position_from_instance(self, instance: Any, ordering: Sequence[str]) -> str:
        """Return what an object is ordered by: of a row it is the last column."""
        if isinstance(instance, tuple):
            return str(instance[-1])
        return super()._get_position_from_instance(instance, ordering)

    def encode_cursor(self, cursor: Cursor) -> str:
        """Write the address of another page."""
        signed = self.signer.sign_object([cursor.offset, cursor.reverse, cursor.position])
        assert self.base_url is not None, "a page is taken before its neighbours are named"
        return str(replace_query_param(self.base_url, "cursor", signed))

    def get_paginated_response(self, data: Any) -> Response:
        """Render one page."""
        return Response({"data": data, "next": self.get_next_link()})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Describe one page."""
        return {
            "type": "object",
            "required": ["data", "next"],
            "properties": {
                "data": schema,
                "next": {"type": ["string", "null"], "format": "uri"},
            },
        }
