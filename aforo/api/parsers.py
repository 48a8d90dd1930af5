"""Parse bodies as JSON, whatever the Content-Type says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any, TypeVar

from rest_framework.exceptions import ParseError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from aforo.protocol.exact_json import is_deeper, read_json

# No request of the contract needs as many levels, and code that recurses over a request stays far
# below the limit of the interpreter's stack.
MAX_DEPTH = 30

_ParserT = TypeVar("_ParserT", bound=BaseParser)


class ExactJsonParser(BaseParser):
    media_type = "application/json"
    max_depth: int | None = MAX_DEPTH

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Parse the body; an empty body is an empty object.

        Raises: ParseError (400) when it is not JSON.
        """
        body = stream.read()
        if not body.strip():
            return {}
        try:
            data = read_json(body)
        except (ValueError, RecursionError) as error:
            raise ParseError(f"The body is not valid JSON: {error}") from error
        if self.max_depth is not None and is_deeper(data, self.max_depth):
            raise ParseError(f"The body is nested more than {self.max_depth} levels deep.")
        return data


class EventsJsonParser(ExactJsonParser):
    """Parses events, each of which is refused for its own depth and not for its neighbour's."""

    max_depth = None


class CloudEventParser(EventsJsonParser):
    media_type = "application/cloudevents+json"


class CloudEventBatchParser(EventsJsonParser):
    media_type = "application/cloudevents-batch+json"


class JsonWhateverTheHeader(DefaultContentNegotiation):
    """Parse the body as JSON even with no or another Content-Type, so that a bare curl works."""

    def select_renderer(
        self,
        request: Request,
        renderers: Iterable[BaseRenderer],
        format_suffix: str | None = None,
    ) -> tuple[BaseRenderer, str]:
        """Choose the renderer; nearly every call asks for JSON or for nothing in particular, and
        its header is not taken apart.
        """
        first, *others = renderers
        asked = request.META.get("HTTP_ACCEPT", "*/*")
        if not others and asked in {"*/*", first.media_type}:
            return first, first.media_type
        chosen: tuple[BaseRenderer, str] = super().select_renderer(
            request, [first, *others], format_suffix
        )
        return chosen

    def select_parser(self, request: Request, parsers: Sequence[_ParserT]) -> _ParserT | None:  # type: ignore[override]
        """Choose the parser that names the Content-Type, else the first."""
        content_type = (request.content_type or "").partition(";")[0].strip().lower()
        return next((p for p in parsers if p.media_type == content_type), parsers[0])
