"""A line of the log and the metrics of every request, where it enters and leaves the process."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Final

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from django.http import HttpRequest, HttpResponse

from aforo.access.models import ApiKey
from aforo.database.backend.base import DatabaseWrapper
from aforo.observability import metrics

logger = logging.getLogger("aforo.requests")

Next = Callable[[HttpRequest], HttpResponse]

_PAGES: Final = "admin/"


class ObservedMiddleware:
    """Counts every request, and writes its line where the settings ask for one.

    A line has who asked (the id of the key, never the key), for which customer, the route, the
    status, the milliseconds and the statements of this thread. It has no body, no query string and
    no header but the request's id.
    """

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request, measured."""
        began, before = time.perf_counter(), _statements()
        response = self.get_response(request)
        seconds = time.perf_counter() - began
        status = response.status_code
        metrics.count_request(
            method=request.method or "", route=_route(request), status=status, seconds=seconds
        )
        if settings.LOG_REQUESTS:
            told = _told(request, status, seconds, _statements() - before)
            logger.info("%(method)s %(path)s %(status)s %(milliseconds)s ms", told, extra=told)
        return response


def _statements() -> int:
    connection = connections[DEFAULT_DB_ALIAS]
    assert isinstance(connection, DatabaseWrapper), "the settings name this backend"
    return connection.statements


def _route(request: HttpRequest) -> str:
    """Return the address with names in place of ids; all pages of the back office are one."""
    match = request.resolver_match
    if match is None:
        return "none"
    return _PAGES if match.route.startswith(_PAGES) else match.route


def _told(request: HttpRequest, status: int, seconds: float, statements: int) -> dict[str, Any]:
    key: ApiKey | None = getattr(request, "api_key", None)
    ids = request.resolver_match.kwargs if request.resolver_match else {}
    return {
        "method": request.method,
        "path": request.path,
        "status": status,
        "milliseconds": round(seconds * 1000, 1),
        "statements": statements,
        "key": str(key.pk) if key else None,
        "customer": ids.get("customer_id") or getattr(request, "customer_id", None),
    }
