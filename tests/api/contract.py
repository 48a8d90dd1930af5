"""A client that holds every answer against the OpenAPI document: what is declared is there in its
form, and nothing else is.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

from django.test.client import FakePayload
from drf_spectacular.generators import SchemaGenerator
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]
from rest_framework.test import APIClient

from tests.api import examples


def _closed(schema: Any) -> Any:
    """Return a schema that refuses members that are not declared, at every depth."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(each) for name, each in schema.items()}
    if isinstance(schema.get("properties"), dict):
        closed.setdefault("additionalProperties", False)
    return closed


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI document, as the code makes it."""
    generator = SchemaGenerator()  # type: ignore[no-untyped-call]
    schema = generator.get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    made: dict[str, Any] = json.loads(json.dumps(schema, default=str))
    return made


@cache
def _components() -> Any:
    return _closed(document()["components"])


@cache
def _templates() -> list[tuple[re.Pattern[str], str]]:
    # Literal segments win over parameters.
    ordered = sorted(document()["paths"], key=lambda path: (path.count("{"), -len(path), path))
    return [(re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path)), path) for path in ordered]


def template_of(path: str) -> str:
    """Return the declared path that an address belongs to."""
    return next(template for pattern, template in _templates() if pattern.fullmatch(path))


def faults_of(schema: dict[str, Any], answer: Any) -> list[str]:
    """Compare an answer with a schema of the document; return the differences."""
    whole = {**_closed(schema), "components": _components()}
    errors = Draft202012Validator(whole, format_checker=FormatChecker()).iter_errors(answer)
    return [f"{list(error.absolute_path)}: {error.message[:200]}" for error in errors]


class CheckedClient(APIClient):
    """A client that checks every answer against the document, and records which operations were
    answered.
    """

    def __init__(self, secret: str) -> None:
        super().__init__()
        self.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
        self.seen: set[tuple[str, str]] = set()
        self.examples: dict[str, dict[str, Any]] = {}
        self.faults: set[str] = set()

    def request(self, **request: Any) -> Any:
        """Send it, and check what comes back."""
        sent = request["wsgi.input"].read() if "wsgi.input" in request else b""
        response = super().request(**request | {"wsgi.input": FakePayload(sent)})
        method, path = request["REQUEST_METHOD"].lower(), request["PATH_INFO"]
        assert response.status_code < 500, (method, path, response.content)
        if response["Content-Type"].startswith(("text/", "application/vnd.", "application/pdf")):
            self.seen.add((method, template_of(path)))
            return response
        template = template_of(path)
        where = f"{method} {template} {response.status_code}"
        operation = document()["paths"][template][method]
        code = str(response.status_code)
        if code not in operation["responses"]:
            self.faults.add(f"{where} is not declared")
            return response
        (content,) = operation["responses"][code]["content"].values()
        body = json.loads(b"".join(response) if response.streaming else response.content)
        self.faults |= {f"{where} {fault}" for fault in faults_of(content["schema"], body)}
        if response.status_code not in {400, 422} and response.status_code >= 400:
            named = f"`{body['code']}`" in operation["responses"][code]["description"]
            self.faults |= set() if named else {f"{where} names no {body['code']}"}
        examples.record(self.examples, operation, sent, code, body)
        if response.status_code < 400:
            self.seen.add((method, template))
        return response
