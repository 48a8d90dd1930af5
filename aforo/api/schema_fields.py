"""How fields of our own, and the two ways of sending the key, read in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import (
    OpenApiAuthenticationExtension,
    OpenApiSerializerFieldExtension,
)

# Plain notation: no exponent, no sign that says nothing.
DECIMAL = r"^-?\d+(\.\d+)?$"


class DecimalFieldSchema(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    target_class = "aforo.api.fields.DecimalField"
    match_subclasses = True

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        """Describe a decimal: a string in answers, a string or a number in requests."""
        return {
            "type": "string" if direction == "response" else ["string", "number"],
            "pattern": DECIMAL,
            "examples": ["12.50"],
        }


class JsonFieldSchema(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    target_class = "aforo.api.fields.JsonField"
    match_subclasses = True

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        """Describe a part that the service reads by name: any JSON."""
        return {
            "type": ["object", "array", "boolean", "number", "string"],
            "items": {},
            "additionalProperties": {},
        }


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
