"""Idempotency keys: where they come from, what "the same content" means, and the plain replay.

Sameness compares meaning, not spelling: "50" and 50.00 are the same content.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from types import NoneType

from django.db import transaction
from django.http import HttpResponse
from rest_framework.request import Request

from aforo import money
from aforo.access.models import KeyedRequest
from aforo.api.renderers import timestamp, to_json
from aforo.errors import FieldError, Invalid, Rejected

HEADER = "Idempotency-Key"
MAX_LENGTH = 255
# Most values are text, and metered events have many of them.
_AS_IT_IS = frozenset({str, bool, NoneType})
# Checking for the plain types is ten times faster than checking for their interfaces.
_MEMBERS = (dict, Mapping)
REPLAYED = {"Idempotency-Replayed": "true"}


class KeyReused(Rejected):
    """The key was used with other content, or on another endpoint."""

    title = "Idempotency key reused"
    default_code = "key_reused"


def canonical(value: object) -> object:
    """Reduce validated content to what it means, as JSON that compares by equality."""
    if type(value) in _AS_IT_IS:
        return value
    if isinstance(value, _MEMBERS):
        return {str(k): canonical(v) for k, v in sorted(value.items()) if v is not None}
    match value:
        case Decimal() | int():
            return money.plain(Decimal(value))
        case datetime():
            return timestamp(value)
        case list() | tuple():
            return [canonical(item) for item in value]
    return str(value)


def check_same(
    *, key: str, first: tuple[str, object], again: tuple[str, object], where: str = ""
) -> None:
    """Compare a repeated (endpoint, content) with the first one.

    Raises: KeyReused, naming the first field that differs.
    """
    if first[0] != again[0]:
        raise KeyReused(f"The key {key} was used on {first[0]}.")
    if first[1] == again[1]:
        return
    before = first[1] if isinstance(first[1], Mapping) else {}
    after = again[1] if isinstance(again[1], Mapping) else {}
    names = sorted({*before, *after})
    field = next((name for name in names if before.get(name) != after.get(name)), "")
    detail = f"The key {key} was used with another {field or 'content'}."
    raise KeyReused(detail, errors=[FieldError(f"{where}/{field}", "key_reused", detail)])


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


def respond(body: str, status: int, *, replayed: bool = False) -> HttpResponse:
    """Return the response for a stored or fresh body, verbatim."""
    headers = REPLAYED if replayed else {}
    return HttpResponse(body, status=status, content_type="application/json", headers=headers)


def once(
    request: Request,
    *,
    livemode: bool,
    endpoint: str,
    content: object,
    make: Callable[[], object],
    status: int = 201,
) -> HttpResponse:
    """Run `make` in one transaction, at most once for ever per (mode, key) if there is a key.

    A concurrent duplicate waits for the first and replays it; when `make` refuses, the key stays
    free. Raises: KeyReused, and whatever `make` raises.
    """
    key = key_of(request)
    with transaction.atomic():
        if not key:
            return respond(to_json(make()), status)
        meaning = canonical(content)
        mine = KeyedRequest(
            livemode=livemode, key=key, endpoint=endpoint, content=meaning, status=status, body=""
        )
        KeyedRequest.objects.bulk_create([mine], ignore_conflicts=True)
        row = KeyedRequest.objects.get(livemode=livemode, key=key)
        if row.body:
            check_same(key=key, first=(row.endpoint, row.content), again=(endpoint, meaning))
            return respond(row.body, row.status, replayed=True)
        body = to_json(make())
        KeyedRequest.objects.filter(pk=row.pk).update(body=body)
        return respond(body, status)
