"""Idempotency keys of requests: where they come from, and how what is replayed is marked."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request

from aforo.errors import FieldError, Invalid
from aforo.protocol.idempotency import Answer

HEADER = "Idempotency-Key"
MAX_LENGTH = 255
REPLAYED = {"Idempotency-Replayed": "true"}


def key_of(request: Request, body_key: str | None = None) -> str:
    """Return the key of the header or the body; "" when there is none.

    Raises: Invalid when both are given and differ, or the key is too long.
    """
    header = request.headers.get(HEADER, "").strip()
    if header and body_key and header != body_key:
        raise Invalid(
            [
                FieldError(
                    "/idempotency_key", "key_mismatch", f"It differs from the {HEADER} header."
                )
            ]
        )
    key = body_key or header
    if len(key) > MAX_LENGTH or "\x00" in key:
        raise Invalid(
            [FieldError("/idempotency_key", "max_length", f"At most {MAX_LENGTH} characters.")]
        )
    return key


def required_key(request: Request, body_key: str | None = None) -> str:
    """Return the key of a POST that moves credits or money.

    Raises: Invalid with the code `idempotency_key_required`.
    """
    key = key_of(request, body_key)
    if not key:
        detail = f"Send idempotency_key in the body or the {HEADER} header."
        raise Invalid([FieldError("/idempotency_key", "idempotency_key_required", detail)])
    return key


def respond(given: Answer) -> HttpResponse:
    """Return the response of an answer, fresh or replayed, verbatim."""
    headers = REPLAYED if given.replayed else {}
    return HttpResponse(
        given.body, status=given.status, content_type="application/json", headers=headers
    )
