"""Every address of the API with its view, read from the URL configuration itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.views import APIView

from aforo.api.views import ApiView

NOWHERE = "00000000-0000-0000-0000-000000000000"
METHODS = ("get", "post", "put", "patch", "delete", "options", "trace")
_VALUES = {"uuid": NOWHERE, "int": "1", "str": "nothing"}


class Route(NamedTuple):
    """An address with its converters filled in, and the view that answers there."""

    address: str
    template: str
    view: type[APIView]

    @property
    def methods(self) -> set[str]:
        return {name for name in METHODS if name != "options" and hasattr(self.view, name)}

    @property
    def bodies(self) -> set[str]:
        return self.methods & {"post", "put", "patch"}


def _walk(patterns: list[URLPattern | URLResolver], before: str) -> Iterator[Route]:
    for each in patterns:
        template = before + str(each.pattern)
        if isinstance(each, URLResolver):
            yield from _walk(each.url_patterns, template)
            continue
        view = getattr(each.callback, "view_class", None)
        if view is not None and issubclass(view, APIView):
            address = re.sub(r"<(\w+):\w+>", lambda found: _VALUES[found[1]], template)
            yield Route(f"/{address}", f"/{template}", view)


ROUTES = list(_walk(get_resolver().url_patterns, ""))
OWN = [route for route in ROUTES if issubclass(route.view, ApiView)]
STRICT = [route for route in OWN if not getattr(route.view, "is_lenient", False)]
