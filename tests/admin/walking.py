"""Every address of the back office with what it is about, and what a request has written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.db import connection, models
from django.urls import URLPattern, URLResolver, get_resolver

from ledger.models import ClosePack, ExportBatch

# Of one's own account, and what leads nowhere without a permission of its own.
OPEN = {
    "login", "logout", "index", "password_change", "password_change_done", "jsi18n", "search",
    "autocomplete", "view_on_site",
}  # fmt: skip


@dataclass(frozen=True)
class Address:
    """A page, and the model that it shows; None for a page of its own."""

    name: str
    url: str
    model: type[models.Model] | None
    row: object = None


def addresses() -> list[Address]:
    """List every page of the back office once, each with the first row that there is."""
    return [each for each in _found(get_resolver().url_patterns, "/") if each is not None]


def _found(patterns: list[URLPattern | URLResolver], prefix: str) -> Iterator[Address | None]:
    for pattern in patterns:
        route = prefix + re.sub(r"[\^$]", "", str(pattern.pattern))
        if isinstance(pattern, URLResolver):
            yield from _found(pattern.url_patterns, route)
        elif route.startswith("/admin/") and pattern.name and pattern.name not in OPEN:
            yield _address(pattern.name, route)


def _address(name: str, route: str) -> Address | None:
    parts = route.strip("/").split("/")
    model = next(
        (m for m in admin.site._registry if [m._meta.app_label, m._meta.model_name] == parts[1:3]),
        None,
    )
    if "(?P<" in route:
        # The list of an app: whoever may see none of its models gets 404.
        return Address(name, re.sub(r"\(\?P<.*\)", "billing", route), None)
    values: dict[str, Any] = {"name": "trial-balance"}
    if "<int:batch_id>" in route:
        values = {"batch_id": ExportBatch.objects.earliest("pk").pk, "name": "none"}
    elif "<int:pack_id>" in route:
        values = {"pack_id": ClosePack.objects.earliest("pk").pk, "name": "none"}
    elif model is not None and "<" in route:
        row = model._default_manager.order_by("pk").first()
        if row is None:
            return None
        values = {"object_id": row.pk, "id": row.pk, "pk": row.pk}
    url = re.sub(r"<(\w+:)?(\w+)>", lambda found: str(values[found[2]]), route)
    return Address(name, url, model, values.get("pk"))


def written() -> dict[str, int]:
    """Count the rows that this transaction has written, also those it took back, by table."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_xact_user_tables "
            "WHERE n_tup_ins + n_tup_upd + n_tup_del > 0"
        )
        return dict(cursor.fetchall())
