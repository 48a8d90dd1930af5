"""The id of every request, which its answer and its problems name."""

from __future__ import annotations

import re
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from aforo import actors
from aforo.ids import new_id

Next = Callable[[HttpRequest], HttpResponse]

_SANE = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class RequestIdMiddleware:
    """Set `request.request_id`, the caller's `X-Request-Id` if it is a sane one, and answer it."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-Id", "")
        request_id = given if _SANE.fullmatch(given) else str(new_id())
        request.request_id = request_id  # type: ignore[attr-defined]
        with actors.within_request(request_id):
            response = self.get_response(request)
        response["X-Request-Id"] = request_id
        return response
