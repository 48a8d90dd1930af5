"""What pages of the back office are put together from: actions, links, tables, columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar, cast

from django.core.exceptions import FieldDoesNotExist, ObjectDoesNotExist, ValidationError
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from unfold.decorators import action as _action

from aforo.money import plain

F = TypeVar("F", bound=Callable[..., Any])
M = TypeVar("M", bound=models.Model)
S = TypeVar("S", bound=str)


def action(*, description: str) -> Callable[[F], F]:
    """Return a decorator for an action of a list, for those who may change its rows."""
    decorate: Callable[[F], F] = _action(description=description, permissions=["act"])
    return decorate


def page_action(*, description: str, url_path: str, permission: str = "view") -> Callable[[F], F]:
    """Return a decorator for a page of its own, with a button on a row's page or on the list."""
    decorate: Callable[[F], F] = _action(
        description=description, url_path=url_path, permissions=[permission]
    )
    return decorate


def link(url: str, text: object) -> SafeString:
    """Return a link in the theme's looks."""
    return format_html(
        '<a href="{}" class="text-primary-600 dark:text-primary-500">{}</a>', url, text
    )


def waiting_text(what: object) -> str:
    """Return the sentence for what has been asked for, and waits for a second person."""
    return f"{what} waits for another person's approval; nothing is done yet."


def table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> SafeString:
    """Return a table to be shown in place of a field."""
    shown = {"table": {"headers": headers, "rows": rows}, "striped": 1}
    return mark_safe(render_to_string("unfold/components/table.html", shown))  # noqa: S308


def shown_once(row: models.Model, name: str, make: Callable[[], S]) -> S:
    """Return what a page shows in place of a field, made once: the page asks for it several times,
    and the row is read anew for each page.
    """
    shown = vars(row)
    if name not in shown:
        shown[name] = make()
    return cast("S", shown[name])


def show_secret(
    page: Any, request: HttpRequest, row: models.Model, *, title: str, secret: str, note: str
) -> HttpResponse:
    """Render a secret, which is shown this once, on a page that leads on to the row's."""
    meta = row._meta
    context = {
        **page.admin_site.each_context(request),
        "title": title,
        "opts": meta,
        "secret": secret,
        "note": note,
        "back": reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk]),
    }
    return render(request, "adminui/secret.html", context)


def found(rows: models.QuerySet[M], object_id: object) -> M:
    """Return the row of an address; 404 also where the address can be no row's."""
    try:
        return rows.get(pk=object_id)
    except (ObjectDoesNotExist, ValidationError, ValueError) as error:
        raise Http404(f"There is no {rows.model._meta.verbose_name} {object_id}.") from error


@cache
def plain_column(model: type[models.Model], name: Any) -> Any:
    """Return a column that shows a decimal of the books as 12.5, not with twelve places, and the
    mode by its name; other fields are returned unchanged.
    """
    try:
        field = model._meta.get_field(name) if isinstance(name, str) else None
    except FieldDoesNotExist:
        return name
    is_mode = isinstance(field, models.BooleanField) and name == "livemode"
    if not isinstance(field, models.DecimalField) and not is_mode:
        return name
    title = "mode" if is_mode else field.verbose_name  # type: ignore[union-attr]

    def shown(row: models.Model) -> str | None:
        value = getattr(row, name)
        if is_mode:
            return "live" if value else "sandbox"
        # Amounts with a currency of their own are shown by their library.
        return plain(value) if isinstance(value, Decimal) else value

    # The stylesheet aligns numbers by this name.
    shown.__name__ = name if is_mode else f"number_{name}"
    shown.short_description = title  # type: ignore[attr-defined]
    shown.admin_order_field = name  # type: ignore[attr-defined]
    return shown
