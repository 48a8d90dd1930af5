"""Parse JSON: numbers are read as Decimal, never through float, whatever the Content-Type says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import IO, Any, TypeVar

from rest_framework.exceptions import ParseError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

# A number beyond these is no amount; it stays text, and its field refuses it by name.
MAX_DIGITS = 40
MAX_EXPONENT = 26
# No request of the contract needs as many levels, and code that recurses over a request stays far
# below the limit of the interpreter's stack.
MAX_DEPTH = 30

_ParserT = TypeVar("_ParserT", bound=BaseParser)


def read_number(text: str) -> Decimal | str:
    """Read a JSON number exactly; return it as text when it is out of all proportion."""
    if len(text) <= MAX_EXPONENT and text.replace(".", "", 1).isdecimal():
        return Decimal(text)
    mantissa, _, exponent = text.lower().partition("e")
    if sum(character.isdigit() for character in mantissa) > MAX_DIGITS:
        return text
    if exponent and (len(exponent) > 4 or abs(int(exponent)) > MAX_EXPONENT):
        return text
    return Decimal(text)


def _read_integer(text: str) -> int | str:
    return int(text) if len(text) <= MAX_DIGITS else text


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("A member name occurs twice in one JSON object.")
    return members


def read_json(body: bytes) -> Any:
    """Read RFC 8259 JSON, strictly: no duplicate names, no lone surrogates, numbers kept exact.

    Raises: ValueError, RecursionError when it is not JSON.
    """
    data = json.loads(
        body.decode(),
        parse_float=read_number,
        parse_int=_read_integer,
        parse_constant=str,
        object_pairs_hook=_unique,
    )
    if b"\\u" in body:
        json.dumps(data, default=str, ensure_ascii=False).encode()
    return data


def is_deeper(data: object, levels: int) -> bool:
    """Return whether objects and arrays are nested more than so many levels deep, a scalar none."""
    inside = [data]
    for _ in range(levels + 1):
        inside = [
            member
            for each in inside
            if isinstance(each, dict | list)
            for member in (each.values() if isinstance(each, dict) else each)
        ]
        if not inside:
            return False
    return True


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

    def select_parser(self, request: Request, parsers: Sequence[_ParserT]) -> _ParserT | None:  # type: ignore[override]
        """Choose the parser that names the Content-Type, else the first."""
        content_type = (request.content_type or "").partition(";")[0].strip().lower()
        return next((p for p in parsers if p.media_type == content_type), parsers[0])
