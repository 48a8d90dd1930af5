"""Batches: lists of requests, each of which is read, succeeds or fails alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request

from aforo.api import problems
from aforo.api.fields import JsonField
from aforo.api.views import validate
from aforo.errors import DomainError, FieldError, Invalid, TooLarge
from aforo.protocol.exact_json import to_json
from wallets.debits import engine

MAX_BATCH = 1_000

R = TypeVar("R", bound=engine.Request)


@extend_schema_field(
    {"type": "array", "minItems": 1, "maxItems": MAX_BATCH, "items": {"type": "object"}}
)
class BatchField(JsonField):
    """1 to 1,000 requests, each of which is validated alone."""

    default_error_messages = {"not_a_list": "Send a list.", "empty": "Send at least one."}

    def __init__(self, *, noun: str) -> None:
        super().__init__()
        self.noun = noun

    def to_internal_value(self, data: Any) -> list[Any]:
        """Check that it is a list of 1 to 1,000.

        Raises: TooLarge.
        """
        if not isinstance(data, list):
            self.fail("not_a_list")
        if not data:
            self.fail("empty")
        if len(data) > MAX_BATCH:
            raise TooLarge(f"A batch holds at most {MAX_BATCH} {self.noun}s.")
        return data


class BatchAnswer(serializers.Serializer[Any]):
    results = serializers.ListField(child=serializers.DictField())


def read_one(
    body: type[serializers.BaseSerializer[Any]], make: Callable[..., R], raw: object
) -> R | DomainError:
    """Validate one request of a batch; a fault is the answer of this one alone."""
    try:
        read = validate(body, raw)
    except serializers.ValidationError as error:
        return problems.invalid(error.detail)
    key = read.pop("idempotency_key", "")
    if not key:
        detail = "Everything in a batch has its idempotency_key."
        return Invalid([FieldError("/idempotency_key", "idempotency_key_required", detail)])
    return make(key=key, **read)


def answer_each(
    request: Request,
    parsed: Sequence[R | DomainError],
    execute: Callable[[Sequence[R]], Sequence[engine.Result]],
) -> HttpResponse:
    """Execute what was read of a batch; return the results in order, faults among them."""
    asked = [one for one in parsed if not isinstance(one, DomainError)]
    answered = iter(execute(asked) if asked else ())
    results = [one if isinstance(one, DomainError) else next(answered) for one in parsed]
    request_id = request._request.request_id  # type: ignore[attr-defined]
    return HttpResponse(
        f'{{"results":[{",".join(_result(result, request_id) for result in results)}]}}',
        content_type="application/json",
    )


def _result(result: engine.Result, request_id: str) -> str:
    """Return one result of a batch: the single answer or problem, with its status."""
    if isinstance(result, DomainError):
        return to_json({"status": result.status, **problems.body(result, request_id)})
    replayed = ',"replayed":true' if result.replayed else ""
    return f'{{"status":{result.status}{replayed},{_own(result.body)[1:]}'


def _own(body: str) -> str:
    """Return an answer whose own status, that of a reservation, is called so: in a batch `status`
    is the number.
    """
    if '"status":' not in body:
        return body
    answer = json.loads(body)
    if "status" in answer:
        answer["reservation_status"] = answer.pop("status")
    return to_json(answer)
