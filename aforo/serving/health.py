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

from aforo.serving import database_schema
from aforo.serving.job_health import Job

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
        return JsonResponse({"status": "ok", "jobs": _shown(_jobs())})
    except DatabaseError as error:
        return _unreachable(error)


def jobs(request: HttpRequest) -> HttpResponse:
    """Answer 200 when the work in the background is on time, else 503 with what is late."""
    try:
        found = _jobs()
    except DatabaseError as error:
        return _unreachable(error)
    late = any(job.is_late for job in found)
    body = {"status": "late" if late else "ok", "jobs": _shown(found)}
    return JsonResponse(body, status=503 if late else 200)


def metrics(request: HttpRequest) -> HttpResponse:
    """Answer the same in the text format of Prometheus."""
    try:
        found, is_up = _jobs(), 1
    except DatabaseError:
        found, is_up = [], 0
    lines = [
        "# HELP aforo_database_up Whether the database answers.",
        "# TYPE aforo_database_up gauge",
        f"aforo_database_up {is_up}",
        "# HELP aforo_job_age_seconds Seconds since a job was last seen at work.",
        "# TYPE aforo_job_age_seconds gauge",
        *(
            f'aforo_job_age_seconds{{job="{job.name}"}} {job.age_seconds}'
            for job in found
            if job.age_seconds is not None
        ),
        "# HELP aforo_job_late Whether a job has been silent for too long.",
        "# TYPE aforo_job_late gauge",
        *(f'aforo_job_late{{job="{job.name}"}} {int(job.is_late)}' for job in found),
    ]
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; version=0.0.4")


def _jobs() -> list[Job]:
    look: Callable[..., list[Job]] = import_string(settings.JOBS_SEEN_BY)
    return look(now=timezone.now())


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
    "/metrics": metrics,
}
