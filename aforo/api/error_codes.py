"""Every code that an answer can carry, with when it comes and what to do: the page of the codes.

The words stand beside what raises them: in the docstrings of the errors, and in
`aforo.api.field_codes`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from django.apps import apps
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join

from aforo.api.field_codes import FIELD_CODES
from aforo.errors import Advice, DomainError, Rejected

HEAD = """# Errors: every code, when it comes and what to do

Whatever is refused under `/v1` is answered as `application/problem+json` (RFC 9457). `code` is for
programs and stays; `detail` is for people and may change; `type` is the address, on the same
server, at which the code is explained. A refusal changes nothing, and its idempotency key is free
again. After 429, 500 and 503 send the same again, with the same key, once `Retry-After` is over;
anything else will be refused again until something has changed.

This page is made from the code: `uv run manage.py list_errors > docs/errors.md`.
"""
FIELDS = """
## Fields of a 422

The entries of `errors` have these codes, each with a `pointer` (RFC 6901) into the body or, for a
query parameter, its name. Where one field alone is invalid, the problem itself has its code. The
refused events of a batch have them too, as `error`.

| code | when it comes | what to do |
|---|---|---|
"""
_WITHOUT = {"management", "migrations"}


class Explained(NamedTuple):
    """A code with its advice; several errors may share one."""

    status: int
    title: str
    code: str
    advice: Advice


def _load_all() -> None:
    """Import every module of the project, so that each error there is can be found."""
    root = Path(settings.BASE_DIR)
    for app in sorted(apps.get_app_configs(), key=lambda each: each.label):
        if root not in Path(app.path).parents or ".venv" in app.path:
            continue
        for file in sorted(Path(app.path).rglob("*.py")):
            parts = file.relative_to(root).with_suffix("").parts
            if not _WITHOUT.intersection(parts) and parts[-1] not in {"wsgi", "celery"}:
                import_module(".".join(parts).removesuffix(".__init__"))


def kinds(of: type[DomainError] = DomainError) -> Iterator[type[DomainError]]:
    """Yield the classes of errors below one, depth first."""
    for kind in of.__subclasses__():
        yield kind
        yield from kinds(kind)


def advice_of(kind: type[DomainError]) -> Advice:
    """Return what the docstring of an error says: when it comes, and what to do."""
    when, _, then = inspect.cleandoc(kind.__doc__ or "").partition("\n\n")
    return " ".join(when.split()), " ".join(then.split())


def explain(kind: type) -> Iterator[Explained]:
    """Yield the codes that a class has of its own."""
    if not issubclass(kind, DomainError):
        return
    if "default_code" in vars(kind):
        yield Explained(kind.status, kind.title, kind.default_code, advice_of(kind))
    for code, advice in vars(kind).get("variants", {}).items():
        yield Explained(kind.status, kind.title, code, advice)


def explained() -> list[Explained]:
    """Return every code of the errors that are loaded, by status and code, without the fields'."""
    return sorted({each for kind in kinds() for each in explain(kind)})


def named(codes: Iterable[str]) -> list[Explained]:
    """Return what is said of some codes of errors, each of which has to exist."""
    wanted = set(codes)
    found = [each for each in explained() if each.code in wanted]
    assert wanted == {each.code for each in found}, f"{wanted} has a code that no error has"
    return found


def of_fields() -> list[Explained]:
    """Return every code of a field."""
    return [
        Explained(Rejected.status, Rejected.title, code, advice)
        for code, advice in sorted(FIELD_CODES.items())
    ]


def page() -> str:
    """Return the page of the codes."""
    _load_all()
    named: set[str] = set()
    parts = [HEAD]
    for status, codes in groupby(explained(), key=lambda each: each.status):
        parts.append(f"\n## {status}\n\n| code | when it comes | what to do |\n|---|---|---|\n")
        parts += [_row(each, named) for each in codes]
    parts += [FIELDS, *(_row(each, named) for each in of_fields())]
    return "".join(parts)


def _row(each: Explained, named: set[str]) -> str:
    """Return a row; the first of a code has the anchor that leads to it."""
    anchor = "" if each.code in named else f'<a id="{each.code}"></a>'
    named.add(each.code)
    when, then = (text.replace("|", "\\|") for text in each.advice)
    return f"| {anchor}`{each.code}` | {when} | {then} |\n"


def explain_code(request: HttpRequest, code: str) -> HttpResponse:
    """Answer what a code means, for people: where the `type` of a problem leads."""
    found = [each for each in [*explained(), *of_fields()] if each.code == code]
    if not found:
        raise Http404
    rows = format_html_join(
        "",
        "<h2>{} {}</h2><p>{}</p><p>{}</p>",
        ((each.status, each.title, *each.advice) for each in found),
    )
    html = format_html(
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        '<meta name="color-scheme" content="light dark"><title>{}</title><h1>{}</h1>{}',
        code,
        code,
        rows,
    )
    return HttpResponse(html)
