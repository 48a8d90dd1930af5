"""Every code that an answer can carry is explained, and none that does not exist."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.forms import fields as form_fields
from rest_framework import serializers
from rest_framework.test import APIClient

from aforo.api import error_codes
from aforo.api.field_codes import FIELD_CODES

ROOT = Path(__file__).parents[2]
APPS = ("aforo", "billing", "ledger", "pricing", "wallets")
PAGE = error_codes.page()
KINDS = {kind.__name__: kind for kind in error_codes.kinds()}
EXPLAINED = {each.code for each in error_codes.explained()}
# What makes the error of a field, with the place of the code among its arguments.
MAKERS = {"FieldError": 1, "ErrorDetail": 1, "Fault": 0, "BadEvent": 0, "fault": 1, "fail": 0}


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for app in APPS:
        for file in (ROOT / app).rglob("*.py"):
            if "migrations" not in file.parts:
                yield file, ast.parse(file.read_text())


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    for file, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func).rpartition(".")[2]
                yield f"{file.relative_to(ROOT)}:{node.lineno}", name, node


def code_given(call: ast.Call) -> str | None:
    """Return the constant that a call gives as `code`."""
    for keyword in call.keywords:
        if keyword.arg == "code" and isinstance(keyword.value, ast.Constant):
            return str(keyword.value.value)
    return None


def test_the_page_is_current() -> None:
    """Write it anew: uv run manage.py list_errors > docs/errors.md."""
    assert (ROOT / "docs" / "errors.md").read_text() == PAGE


def test_every_class_says_when_it_comes_and_what_to_do() -> None:
    faults = [
        f"{kind.__module__}.{kind.__name__}: {each.code}"
        for kind in KINDS.values()
        for each in error_codes.explain(kind)
        if not all(text.endswith(".") for text in each.advice)
    ]
    assert faults == []


def test_every_code_that_an_error_is_raised_with_is_one_of_its_class() -> None:
    faults = []
    for place, name, call in calls():
        code = code_given(call)
        if name not in KINDS or code is None:
            continue
        own = {each.code for kind in KINDS[name].__mro__ for each in error_codes.explain(kind)}
        if code not in own:
            faults.append(f"{place}: {name} has no {code}")
    assert faults == []


def test_every_code_of_a_field_is_explained() -> None:
    faults = []
    for place, name, call in calls():
        codes = [code_given(call)] if name == "ValidationError" else []
        at = MAKERS.get(name)
        if at is not None and len(call.args) > at and isinstance(call.args[at], ast.Constant):
            codes.append(str(call.args[at].value))  # type: ignore[attr-defined]
        faults += [f"{place}: {code}" for code in codes if code and code not in FIELD_CODES]
    # The admin's form of the login is no part of the API.
    assert [each for each in faults if "login_form.py" not in each] == []


def test_no_code_is_explained_that_does_not_exist() -> None:
    written = {
        node.value
        for file, tree in trees()
        if file.name != "field_codes.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    framework = {
        code
        for module in (serializers, form_fields)
        for kind in vars(module).values()
        for code in getattr(kind, "default_error_messages", {})
    }
    validators = {"max_value", "min_value", "max_length", "min_length"}
    validators |= {"null_characters_not_allowed", "surrogate_characters_not_allowed"}
    assert set(FIELD_CODES) - written - framework - validators == set()


@pytest.mark.django_db
def test_the_type_of_a_problem_leads_to_its_explanation(api: APIClient) -> None:
    problem = api.get("/v1/wallets/nobody").json()

    explained = api.get(problem["type"])

    assert (problem["type"], problem["code"]) == (
        "/v1/problems/unknown_customer",
        "unknown_customer",
    )
    assert explained.status_code == 200
    assert "No customer of the key&#x27;s mode has this id." in explained.content.decode()


@pytest.mark.django_db
def test_a_code_that_does_not_exist_is_not_explained(api: APIClient) -> None:
    assert api.get("/v1/problems/made_up").status_code == 404
