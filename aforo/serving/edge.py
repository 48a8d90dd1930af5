"""The edge before any view: a body is read whole, what is malformed is refused, and under `/v1` the
framework's error pages are replaced by problems.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus
from io import BytesIO

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.wsgi import LimitedStream
from django.http import HttpRequest, HttpResponse

from aforo.api import problems
from aforo.errors import BadRequest, DomainError, LengthRequired, NotFound, TooLarge

Next = Callable[[HttpRequest], HttpResponse]

_API = re.compile(r"/(api/)?v1(/|$)")


class EdgeMiddleware:
    """Refuse malformed requests before any view; answer failures of the API as problems only."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        is_api = _API.match(request.path) is not None
        try:
            _read_whole(request)
            if is_api:
                _check_address(request)
        except DomainError as error:
            if is_api:
                return problems.render(error, request)
            return HttpResponse(error.detail, status=error.status, content_type="text/plain")
        response = self.get_response(request)
        if is_api and response.status_code >= 400 and not _is_json(response):
            status = HTTPStatus(response.status_code)
            return problems.render(problems.of_status(status), request)
        return response


def _is_json(response: HttpResponse) -> bool:
    return "json" in response.get("Content-Type", "")


def _check_address(request: HttpRequest) -> None:
    """Check host and path.

    Raises: BadRequest, NotFound.
    """
    try:
        request.get_host()
    except DisallowedHost:
        raise BadRequest("This server does not answer for that host.", code="wrong_host") from None
    if "\x00" in request.path:
        raise NotFound("An address contains no NUL character.", code="unknown_path")


def _read_whole(request: HttpRequest) -> None:
    """Read a body that comes in chunks, which the framework would take for an empty one.

    Raises: TooLarge before more than the limit is read, LengthRequired, BadRequest.
    """
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    too_large = TooLarge(f"The request body is larger than {limit} bytes.")
    if "HTTP_TRANSFER_ENCODING" not in request.META:
        if _announced(request) > limit:
            raise too_large
        return
    if not request.META.get("wsgi.input_terminated"):
        raise LengthRequired("Send the body with its Content-Length.")
    try:
        body = request.META["wsgi.input"].read(limit + 1)
    except OSError as error:
        raise BadRequest("The body ends too early.", code="unreadable") from error
    if len(body) > limit:
        raise too_large
    request.META["CONTENT_LENGTH"] = str(len(body))
    request._stream = LimitedStream(BytesIO(body), len(body))  # type: ignore[assignment]


def _announced(request: HttpRequest) -> int:
    length = str(request.META.get("CONTENT_LENGTH") or "0")
    return int(length) if length.isascii() and length.isdecimal() and len(length) < 20 else 0
