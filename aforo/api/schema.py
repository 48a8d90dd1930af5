"""The OpenAPI document: every operation also answers problems, and takes the API key."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import (
    OpenApiAuthenticationExtension,
    OpenApiSerializerFieldExtension,
)
from drf_spectacular.openapi import AutoSchema

PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457 problem details.",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "Stable; for programs."},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "detail"],
                "properties": {
                    "pointer": {"type": "string", "description": "RFC 6901."},
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
    },
    "additionalProperties": True,
}


class ProblemAutoSchema(AutoSchema):
    """Adds the problem answer to every operation."""

    def get_operation(self, *args: Any, **kwargs: Any) -> Any:
        """Describe one operation."""
        operation = super().get_operation(*args, **kwargs)
        if operation is not None:
            operation["responses"]["default"] = {
                "description": "A problem (4xx, 503).",
                "content": {"application/problem+json": {"schema": PROBLEM_SCHEMA}},
            }
        return operation


class DecimalFieldSchema(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    target_class = "aforo.api.fields.DecimalField"
    match_subclasses = True

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        """Describe a decimal: a string in answers, a string or a number in requests."""
        return {
            "type": "string" if direction == "response" else ["string", "number"],
            "examples": ["12.50"],
        }


class JsonFieldSchema(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    target_class = "aforo.api.fields.JsonField"

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        """Describe a part that the service reads by name: any JSON."""
        return {}


class ExpiryFieldSchema(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    target_class = "aforo.api.fields.ExpiryField"

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        """Describe a moment or a day."""
        return {
            "anyOf": [
                {"type": "string", "format": "date-time"},
                {"type": "string", "format": "date", "description": "Up to its end."},
            ]
        }


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "aforo.access.authentication.ApiKeyAuthentication"
    name = ["bearer", "apiKey"]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, str]]:
        """Describe both ways of sending the key."""
        return [
            {"type": "http", "scheme": "bearer", "description": "sk_live_... or sk_test_..."},
            {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        ]
