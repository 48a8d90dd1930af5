"""The base of every view under `/v1`."""

from __future__ import annotations

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
        parsed = serializer(data=request.data, context={"livemode": self.livemode})
        parsed.is_valid(raise_exception=True)
        validated: dict[str, Any] = parsed.validated_data
        return validated
