"""The base of every view under `/v1`: its scope, its mode, its query parameters and its keys."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from django.db import transaction
from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from aforo.access import one_customer
from aforo.access.authentication import caller
from aforo.api.fields import MOST_NAMED, StrictSerializer, name_known, unknown_members
from aforo.api.idempotency import key_of, required_key, respond
from aforo.errors import FieldError, Invalid
from aforo.protocol import idempotency
from aforo.protocol.exact_json import to_json
from aforo.protocol.idempotency import Answer


class ApiView(APIView):
    """A view that asks for one scope and acts in the mode of the caller's key.

    A query parameter that it does not know is refused: ignored, a mistyped filter would show
    everybody's rows.
    """

    scope: ClassVar[str | None] = None
    # The query parameters of a GET, apart from a list's filters and pages.
    query: ClassVar[type[StrictSerializer] | None] = None
    # Query parameters of any other method.
    posted: ClassVar[tuple[str, ...]] = ()
    # The stable name of what its POST does under an idempotency key. No address and no file names
    # it, so that a replay outlives their changes (docs/decisions.md#d170).
    operation: ClassVar[str] = ""
    # The names of its methods in the document, where they are verbs with nouns (`debitWallet`).
    names: ClassVar[Mapping[str, str]] = {}
    # The codes that it refuses with, apart from those of every view and of fields.
    refusals: ClassVar[tuple[str, ...]] = ()
    # Whether clients call it that were not written for this API.
    is_lenient: ClassVar[bool] = False

    @property
    def livemode(self) -> bool:
        """The mode of the caller's key; the other mode's objects do not exist for it."""
        if getattr(self, "swagger_fake_view", False):
            return False
        return caller(self.request).livemode

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Authenticate the caller, then check whom it may act for and the query parameters."""
        super().initial(request, *args, **kwargs)
        key = caller(request)
        if key.customer_id:
            one_customer.check(key, request, kwargs, self.customer_of(**kwargs))
        if not self.is_lenient:
            self._check_parameters(request)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Add to an answer what is left of the key's limit, where it has one."""
        final = super().finalize_response(request, response, *args, **kwargs)
        quota = getattr(request._request, "rate_quota", None)
        for name, value in quota.headers().items() if quota else ():
            final[name] = value
        return final

    def customer_of(self, **ids: Any) -> str | None:
        """Return the customer of the object that an address names; None where that is not told, so
        that a key of one customer is refused.
        """
        return None

    def parameters(self, request: Request) -> set[str]:
        """Return the names of the query parameters that it knows."""
        if request.method not in {"GET", "HEAD"}:
            return {*self.posted}
        known = {*self.query().fields} if self.query else set()
        filters = getattr(self, "filterset_class", None)
        known.update(filters.base_filters if filters else getattr(self, "filterset_fields", ()))
        pages = getattr(self, "paginator", None)
        return known.union(pages.parameters if pages else ())

    def _check_parameters(self, request: Request) -> None:
        """Check that each query parameter is known, given once, and not blank.

        Raises: Invalid.
        """
        known = self.parameters(request)
        detail = f"There is no such filter. {name_known(known)}"
        faults = [
            FieldError(f"/{name[:100]}", "unknown_filter", detail)
            for name in unknown_members(request.query_params, known)
        ]
        for name, values in request.query_params.lists():
            if name in known and len(values) > 1:
                faults.append(FieldError(f"/{name}", "repeated", "It is given more than once."))
            elif name in known and not values[0].strip():
                faults.append(FieldError(f"/{name}", "blank", "It is given without a value."))
        if faults:
            raise Invalid(faults[:MOST_NAMED])

    def asked(self, request: Request) -> dict[str, Any]:
        """Validate the query parameters.

        Raises: ValidationError, answered as 422 with a pointer per field.
        """
        assert self.query is not None, "the view names what it may be asked"
        return validate(self.query, request.query_params.dict())

    def read(self, serializer: type[BaseSerializer[Any]], request: Request) -> dict[str, Any]:
        """Validate the body.

        Raises: ValidationError, answered as 422 with a pointer per field.
        """
        body = validate(serializer, request.data)
        # The line of the request in the log names whom it is about.
        request._request.customer_id = body.get("customer_id")  # type: ignore[attr-defined]
        return body

    def read_keyed(
        self, serializer: type[BaseSerializer[Any]], request: Request
    ) -> tuple[str, dict[str, Any]]:
        """Validate the body of a POST that moves credits or money; return its key and the rest.

        Raises: ValidationError, Invalid (`idempotency_key_required`).
        """
        assert self.operation, "what is done under a key has a name"
        body = self.read(serializer, request)
        return required_key(request, body.pop("idempotency_key", None)), body

    def once(
        self,
        request: Request,
        content: object,
        make: Callable[[], object],
        *,
        status: int = 201,
        key: str = "",
    ) -> HttpResponse:
        """Run `make` in one transaction: at most once for ever per key, if the request has one;
        `key` is one that its body has.

        Raises: KeyReused, and whatever `make` raises; then the key stays free.
        """
        assert self.operation, "what is done under a key has a name"
        key = key or key_of(request)
        if not key:
            with transaction.atomic():
                made = make()
            return respond(made if isinstance(made, Answer) else Answer.fresh(status, made))
        return respond(
            idempotency.once(
                idempotency.AnswersOfMode(self.livemode),
                asked=idempotency.KeyedOperation.of(key, self.operation, content),
                make=make,
                status=status,
            )
        )


class SecretView(ApiView):
    """A view whose answer has a secret, which is in no record of answers."""

    def once_with_secret(
        self, request: Request, content: object, make: Callable[[], tuple[Any, str]]
    ) -> HttpResponse:
        """Run `make`, which returns an answer and a secret, at most once under a key; answer both
        once.
        """
        secrets: list[str] = []

        def without_secret() -> dict[str, Any]:
            answer, secret = make()
            secrets.append(secret)
            return {**answer, "secret": None}

        response = self.once(request, content, without_secret)
        if secrets:
            response.content = to_json({**json.loads(response.content), "secret": secrets[0]})
        return response


class _Prepared(threading.local):
    """The serializers that a thread has built."""

    def __init__(self) -> None:
        self.serializers: dict[type[BaseSerializer[Any]], BaseSerializer[Any]] = {}


_PREPARED = _Prepared()


def validate(serializer: type[BaseSerializer[Any]], data: object) -> dict[str, Any]:
    """Validate data by a serializer that is built once a thread: building one costs more than using
    it, and its fields keep nothing between two calls.

    Raises: ValidationError.
    """
    prepared = _PREPARED.serializers.get(serializer)
    if prepared is None:
        prepared = _PREPARED.serializers[serializer] = serializer()
    validated: dict[str, Any] = prepared.run_validation(data)
    return validated
