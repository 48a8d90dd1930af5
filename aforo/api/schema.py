"""One operation of the OpenAPI document: its name, its words, its problems and its headers.

What can be known from the view is taken from it: the words from its docstrings, the problems from
its scope, its parameters and its `refusals`, the idempotency key from its `operation`.
"""

from __future__ import annotations

import inspect
import re
from collections import defaultdict
from typing import Any

from drf_spectacular.openapi import AutoSchema

from aforo.api import error_codes, schema_fields
from aforo.api.schema_document import KEY, PROBLEM, REPLAYED

__all__ = ["ProblemAutoSchema", "schema_fields"]

_OLD = "/api/v1/"
_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])")
# What a field of the request can be refused with is on the page of the codes.
_FIELDS = "`errors` names each field: /v1/problems/invalid."
_LIST = "{}, newest first, page by page: follow `next` until it is null."
_OF_OLD = "The same as `{}`, at the address of older metering clients."


def summary_of(name: str) -> str:
    """Return the words of an operation's name: `debitWallet` becomes "Debit wallet"."""
    return " ".join(_WORDS.split(name)).capitalize()


def _paragraphs(doc: str | None) -> str:
    """Return a docstring without the breaks of its lines."""
    parts = inspect.cleandoc(doc or "").split("\n\n")
    return "\n\n".join(" ".join(part.split()) for part in parts)


class ProblemAutoSchema(AutoSchema):
    """Describes an operation of a view of ours."""

    view: Any

    def get_operation(self, *args: Any, **kwargs: Any) -> Any:
        """Describe one operation."""
        operation = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        if self.method != "GET" and self.view.operation:
            operation.setdefault("parameters", []).append(KEY)
            for status, answer in operation["responses"].items():
                if status.startswith("2"):
                    answer["headers"] = {"Idempotency-Replayed": REPLAYED}
        for status, answer in operation["responses"].items():
            answer["description"] = answer["description"] or _DONE[status]
        operation["responses"] |= self._problems(operation)
        return operation

    def get_operation_id(self) -> str:
        """Return the name that the view gives its method."""
        name = self.view.names.get(self.method.lower())
        assert name, f"{type(self.view).__name__} names no {self.method}: see ApiView.names"
        return f"{name}Legacy" if self.path.startswith(_OLD) else name

    def get_summary(self) -> str:
        """Return the operation's name in words."""
        return summary_of(self.view.names[self.method.lower()])

    def get_description(self) -> str:  # type: ignore[override]
        """Return what the method, or else the class itself, says of it."""
        if self.path.startswith(_OLD):
            return _OF_OLD.format(self.path.removeprefix("/api"))
        method = getattr(type(self.view), self.method.lower())
        own = method.__doc__ or vars(type(self.view)).get("__doc__")
        return _paragraphs(own) or _LIST.format(self.get_summary())

    def get_tags(self) -> list[str]:
        """Return the first part of the address."""
        return [self.path.removeprefix("/api").split("/")[2]]

    def get_auth(self) -> list[dict[str, Any]]:
        """Return the ways to send the key, of which one is enough."""
        return [{name: scopes} for both in super().get_auth() for name, scopes in both.items()]

    def _problems(self, operation: dict[str, Any]) -> dict[str, Any]:
        """Return the problems by status, each naming its codes and when they come."""
        statuses: dict[int, list[str]] = defaultdict(list)
        for each in error_codes.named(self._codes(operation)):
            statuses[each.status].append(f"`{each.code}`: {each.advice[0]}")
        if operation.get("requestBody") or operation.get("parameters"):
            statuses[422].append(_FIELDS)
        content = {"application/problem+json": {"schema": PROBLEM}}
        found: dict[str, Any] = {
            str(status): {"description": "\n\n".join(lines), "content": content}
            for status, lines in sorted(statuses.items())
        }
        return found | {"default": {"description": "Any other problem.", "content": content}}

    def _codes(self, operation: dict[str, Any]) -> list[str]:
        """Return the codes that the operation can be refused with, apart from those of fields."""
        codes = ["unauthorized", "forbidden", "throttled", "busy", "internal_error"]
        codes += ["address_not_allowed", "key_of_one_customer"]
        if "requestBody" in operation:
            codes += ["unreadable", "too_large", "unsupported_media_type"]
        if self.method != "GET" and self.view.operation:
            codes.append("key_reused")
        return [*codes, *self._refusals()]

    def _refusals(self) -> list[str]:
        """Return the codes that the view adds; what only reads is refused where nothing is."""
        if self.method != "GET":
            return [*self.view.refusals]
        missing = {each.code for each in error_codes.explained() if each.status == 404}
        return [code for code in self.view.refusals if code in missing]


_DONE = {
    "200": "Done.",
    "201": "Created.",
    "202": "Accepted: it goes on in the background.",
    "204": "Done; there is nothing to return.",
}
