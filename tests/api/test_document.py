"""The OpenAPI document reads as documentation: rules that hold for every operation there is."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from aforo.api.schema import summary_of
from aforo.api.schema_document import TAGS
from tests.api.contract import document
from tests.api.routes import OWN

VERBS = {
    "activate", "add", "adjust", "advance", "aggregate", "apply", "archive", "assign", "cancel",
    "capture", "check", "compare", "create", "credit", "debit", "delete", "dispute", "end",
    "extend",
    "finalize", "get", "grant", "ingest", "list", "migrate", "pause", "pay", "preview",
    "publish", "record", "redeem", "refund", "remove", "replay", "reserve", "resume", "retire",
    "reverse", "revoke", "rotate", "run", "send", "set", "start", "top", "uncancel",
    "unmigrate", "update",
    "verify", "void", "write",
}  # fmt: skip
PROBLEM = {"application/problem+json": {"$ref": "#/components/schemas/Problem"}}


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


OPERATIONS = list(operations())
IDS = [f"{method} {path}" for method, path, _ in OPERATIONS]
each_operation = pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=IDS)


@each_operation
def test_its_name_is_a_verb_with_a_noun(method: str, path: str, operation: dict[str, Any]) -> None:
    """The view names it in `names`; clients call their functions so."""
    name = operation["operationId"]

    assert re.fullmatch(r"[a-z]+([A-Z][a-z]+)+", name), name
    assert re.split(r"(?=[A-Z])", name)[0] in VERBS
    assert operation["summary"] == summary_of(name.removesuffix("Legacy"))


def test_no_two_have_one_name() -> None:
    counted = Counter(operation["operationId"] for _, _, operation in OPERATIONS)
    assert [name for name, number in counted.items() if number > 1] == []


@each_operation
def test_it_is_described(method: str, path: str, operation: dict[str, Any]) -> None:
    text = operation["description"]

    assert text[0].isupper()
    assert text.endswith("."), text
    assert operation["tags"][0] in TAGS
    assert all(answer["description"] for answer in operation["responses"].values())


@each_operation
def test_it_has_an_example_of_what_is_sent_and_answered(
    method: str, path: str, operation: dict[str, Any]
) -> None:
    """tests/api/test_contract.py makes them: AFORO_WRITE_EXAMPLES=1."""
    sent = operation.get("requestBody", {"content": {}})["content"].get("application/json")
    if sent is not None:
        assert "example" in sent
    answers = [
        media
        for status, answer in operation["responses"].items()
        if status.startswith("2")
        for kind, media in answer.get("content", {}).items()
        if kind == "application/json"
    ]
    assert not answers or any("example" in media for media in answers)


@each_operation
def test_its_problems_are_named_by_status(
    method: str, path: str, operation: dict[str, Any]
) -> None:
    problems = {
        status: answer
        for status, answer in operation["responses"].items()
        if not status.startswith("2")
    }
    assert {"401", "403", "503", "default"} <= set(problems)
    for status, answer in problems.items():
        schemas = {kind: media["schema"] for kind, media in answer["content"].items()}
        assert schemas == PROBLEM
        assert status == "default" or "`" in answer["description"]
    if "requestBody" in operation:
        assert {"400", "413", "415", "422"} <= set(problems)
    if re.search(r"\{\w+\}(?!.*\{)", path) and "movements" not in path:
        assert "404" in problems, "refusals names the unknown object"


@each_operation
def test_either_way_of_sending_the_key_is_enough(
    method: str, path: str, operation: dict[str, Any]
) -> None:
    assert operation["security"] == [{"bearer": []}, {"apiKey": []}]


@each_operation
def test_what_it_refers_to_is_there(method: str, path: str, operation: dict[str, Any]) -> None:
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(operation)):
        found: Any = document()
        for part in reference.split("/"):
            found = found[part]


def test_what_takes_an_idempotency_key_says_so() -> None:
    keyed = {
        (method, re.sub(r"<\w+:(\w+)>", r"{\1}", route.template))
        for route in OWN
        if route.view.operation  # type: ignore[attr-defined]
        for method in route.methods - {"get"}
    }
    said = {
        (method, path)
        for method, path, operation in OPERATIONS
        if {"$ref": "#/components/parameters/IdempotencyKey"} in operation.get("parameters", [])
    }
    assert said == keyed


def test_there_is_one_schema_of_problems() -> None:
    assert '"pointer"' in json.dumps(document()["components"]["schemas"]["FieldError"])
    assert json.dumps(document()["paths"]).count('"pointer":') <= len(OPERATIONS)


def test_every_decimal_has_its_pattern() -> None:
    found = json.dumps(document()["components"]["schemas"])
    assert found.count('"examples": ["12.50"]') == found.count('"pattern": "^-?\\\\d+')
