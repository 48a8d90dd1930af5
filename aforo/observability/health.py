"""Whether the process lives, whether it can serve, and whether the work in the background is done.

Probes and scrapers call a process by its address, without the host name or the TLS of its visitors,
so that these addresses are answered before anything asks for either.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.module_loading import import_string

from aforo.observability import metrics
from aforo.observability.job_health import Job
from aforo.serving import database_schema

logger = logging.getLogger(__name__)

Answer = Callable[[HttpRequest], HttpResponse]


class HealthMiddleware:
    """Answers the addresses of this file, whatever the host, and passes everything else on."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer a probe, or go on."""
        page = PAGES.get(request.path)
        if page is None:
            return self.get_response(request)
        answer = page(request)
        answer["Content-Length"] = str(len(answer.content))
        return answer


def alive(request: HttpRequest) -> HttpResponse:
    """Answer that the process serves requests."""
    return JsonResponse({"status": "ok"})


def ready(request: HttpRequest) -> HttpResponse:
    """Answer 200 when the database is reachable and has this version's tables, else 503 and why.

    Jobs that are late are said in the answer only: a server without them still serves.
    """
    try:
        found = database_schema.faults()
        if found:
            return _unavailable(database_schema.sentence(found))
        return JsonResponse({"status": "ok", "jobs": _shown(look()[0])})
    except DatabaseError as error:
        return _unreachable(error)


def jobs(request: HttpRequest) -> HttpResponse:
    """Answer 200 when the work in the background is on time, else 503 with what is late."""
    try:
        found, _ = look()
    except DatabaseError as error:
        return _unreachable(error)
    late = any(job.is_late for job in found)
    body = {"status": "late" if late else "ok", "jobs": _shown(found)}
    return JsonResponse(body, status=503 if late else 200)


def metrics_page(request: HttpRequest) -> HttpResponse:
    """Answer what was counted and what the database knows, in the text format of Prometheus."""
    return HttpResponse(metrics.written(look), content_type=metrics.CONTENT_TYPE)


def look() -> tuple[list[Job], list[metrics.Figure]]:
    """Return when each job was last seen, and the figures of the database now."""
    seen: Callable[..., tuple[list[Job], list[metrics.Figure]]] = import_string(settings.SEEN_BY)
    return seen(now=timezone.now())


def _shown(found: list[Job]) -> dict[str, dict[str, object]]:
    return {job.name: {"late": job.is_late, "age_seconds": job.age_seconds} for job in found}


def _unreachable(error: DatabaseError) -> HttpResponse:
    # The driver's message names host and port, which are nobody's business.
    logger.error("The database cannot be reached", exc_info=error)
    return _unavailable("database")


def _unavailable(reason: str) -> HttpResponse:
    return JsonResponse({"status": "unavailable", "reason": reason}, status=503)


PAGES: Final[Mapping[str, Answer]] = {
    "/healthz": alive,
    "/readyz": ready,
    "/healthz/jobs": jobs,
    "/metrics": metrics_page,
}
