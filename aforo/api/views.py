"""The base of every view under `/v1`."""

from __future__ import annotations

import threading
from typing import Any, ClassVar

from rest_framework.request import Request
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from aforo.access.authentication import caller


class ApiView(APIView):
    """A view that asks for one scope and acts in the mode of the caller's key."""

    scope: ClassVar[str | None] = None

    @property
    def livemode(self) -> bool:
        """The mode of the caller's key; the other mode's objects do not exist for it."""
        if getattr(self, "swagger_fake_view", False):
            return False
        return caller(self.request).livemode

    def read(self, serializer: type[BaseSerializer[Any]], request: Request) -> dict[str, Any]:
        """Validate the body.

        Raises: ValidationError, answered as 422 with a pointer per field.
        """
        return validate(serializer, request.data)


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
