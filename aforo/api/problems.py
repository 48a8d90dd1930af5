"""Render every failure under `/v1` as an RFC 9457 problem, never as a page or a trace."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from itertools import islice
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import DataError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.response import Response

from aforo import errors
from aforo.errors import DomainError, FieldError
from aforo.protocol import pointers
from aforo.protocol.exact_json import to_json

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
# Where this server explains a code (docs/decisions.md#d360).
ADDRESS = "/v1/problems/"
REPEAT_WHEN_BUSY = (
    "The data is busy or out of reach. Send the request again with the same idempotency key: what "
    "has been done is not done twice."
)
REPEAT_AFTER_FAILURE = (
    "The request failed, and it is not known how far it came. Send it again with the same "
    "idempotency key, or read what it was about: what has been done under a key is not done twice."
)
RETRY_AFTER_SECONDS = 1
# An answer never grows with what is wrong in a request.
MOST_ERRORS = 50
_POINTER_LENGTH = 200
# SQLSTATEs after which the same request may be sent again: lock and statement time-outs, deadlock,
# serialization, too many clients, server going down or away. The transaction was rolled back, or
# nobody knows whether its commit arrived; one before it may have committed. So no text says that
# nothing was changed: the idempotency key makes the repeat safe either way.
_RETRYABLE = {"55P03", "57014", "40P01", "40001", "53300", "57P01", "57P02", "57P03"}


def _pointers(detail: object, pointer: str = "") -> Iterator[FieldError]:
    """Flatten the framework's nested error detail into pointers."""
    match detail:
        case Mapping():
            for name, inner in detail.items():
                here = pointer if name == "non_field_errors" else f"{pointer}/{_escape(name)}"
                yield from _pointers(inner, here)
        case list() | tuple():
            for position, inner in enumerate(detail):
                nested = isinstance(inner, Mapping | list)
                yield from _pointers(inner, f"{pointer}/{position}" if nested else pointer)
        case exceptions.ErrorDetail():
            yield FieldError(pointer, str(detail.code), str(detail))
        case _:
            yield FieldError(pointer, "invalid", str(detail))


def _escape(name: object) -> str:
    return pointers.escape(str(name)[:_POINTER_LENGTH])


# The errors of a framework, by their status; any other is a request that cannot be read.
_OF_STATUS: dict[int, type[DomainError]] = {
    kind.status: kind
    for kind in (
        errors.Unauthorized,
        errors.MethodNotAllowed,
        errors.NotAcceptable,
        errors.UnsupportedMediaType,
        errors.Throttled,
        errors.Forbidden,
        errors.NotFound,
        errors.TooLarge,
        errors.Failed,
        errors.Busy,
    )
}


def _translate(error: Exception) -> DomainError | None:
    """Return the domain error for an error of a framework or driver; None when it is unexpected."""
    match error:
        case DomainError():
            return error
        case exceptions.APIException() | PermissionDenied() | Http404():
            return _translate_framework(error)
        case OperationalError() | InterfaceError() if _retryable(error):
            return errors.Busy(REPEAT_WHEN_BUSY)
        case DataError():
            return errors.Rejected("A value cannot be stored.", code="invalid")
    return None


def _translate_framework(
    error: exceptions.APIException | PermissionDenied | Http404,
) -> DomainError:
    match error:
        case exceptions.ValidationError():
            return invalid(error.detail)
        case exceptions.ParseError():
            return errors.BadRequest(str(error.detail))
        case PermissionDenied() | exceptions.PermissionDenied():
            return errors.Forbidden(str(error) or "This key may not do that.")
        case Http404() | exceptions.NotFound():
            return errors.NotFound("There is nothing here.")
        case exceptions.APIException():
            return of_status(HTTPStatus(error.status_code), str(error.detail))


def _retryable(error: Exception) -> bool:
    state = getattr(error.__cause__, "sqlstate", None)
    return state is None or state in _RETRYABLE or str(state).startswith("08")


def invalid(detail: object) -> errors.Invalid:
    """Return one error for a serializer's nested ones, the first of them with a pointer each."""
    return errors.Invalid(list(islice(_pointers(detail), MOST_ERRORS)))


def body(error: DomainError, request_id: str) -> dict[str, object]:
    """Return the members of the problem document."""
    document: dict[str, object] = {
        "type": f"{ADDRESS}{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
        "request_id": request_id,
        **error.extra,
    }
    if error.errors:
        document["errors"] = [
            {"pointer": e.pointer, "code": e.code, "detail": e.detail} for e in error.errors
        ]
    return document


def _headers(error: DomainError, retry_after: int | None) -> dict[str, str]:
    headers: dict[str, str] = {}
    if error.status == 503:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    elif retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    if error.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="aforo"'
    return headers


def render(error: Exception, request: HttpRequest) -> HttpResponse:
    """Render any exception as a problem; an unexpected one is logged and answered as 500."""
    request_id = getattr(request, "request_id", "")
    translated = _translate(error)
    if translated is None:
        logger.error("Unexpected failure of request %s", request_id, exc_info=error)
        translated = errors.Failed(REPEAT_AFTER_FAILURE)
    wait = getattr(error, "wait", None)
    return HttpResponse(
        to_json(body(translated, request_id)),
        status=translated.status,
        content_type=CONTENT_TYPE,
        headers=_headers(translated, None if wait is None else int(wait) + 1),
    )


def exception_handler(error: Exception, context: Mapping[str, Any]) -> Response | HttpResponse:
    """Render an exception for the API framework."""
    return render(error, context["request"]._request)


def of_status(status: HTTPStatus, detail: str = "") -> DomainError:
    """Return the problem for an answer of the framework of which only the status is known."""
    kind = _OF_STATUS.get(status, errors.BadRequest)
    return kind(detail or f"{status.description or status.phrase}.")


@csrf_exempt
def not_found(request: HttpRequest, *_: object, **__: object) -> HttpResponse:
    """Render the answer to an unknown address under `/v1`."""
    return render(errors.NotFound(f"There is no {request.path}.", code="unknown_path"), request)


def field_errors(pointer: str, inner: Sequence[FieldError]) -> list[FieldError]:
    """Move errors of a part to their place in the whole document."""
    return [FieldError(pointer + e.pointer, e.code, e.detail) for e in inner]
