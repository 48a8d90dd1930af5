"""Keys of one customer: which customers a request is about, told by the request itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from rest_framework.request import Request

from aforo.access.models import ApiKey
from aforo.errors import Forbidden, NotFound

# The names of the customer in bodies: ours, the metering clients', that of CloudEvents.
_NAMES = ("customer_id", "customerId", "subject")
_LISTS = ("debits", "captures", "events")


class OfOneCustomer(Forbidden):
    """The key acts for one customer only, and the request is about another one or does not say whom
    it is about.

    Name the key's customer, in a list by `?customer_id=`; for anything else use another key.
    """

    default_code = "key_of_one_customer"


def check(key: ApiKey, request: Request, ids: Mapping[str, Any], owner: str | None) -> None:
    """Check that a request is about the key's customer alone.

    `ids` are the parts of the address, `owner` is the customer of the object that it names, if it
    names one. A body counts only where the address names nothing: there its customer is the one
    that is acted for. Raises: OfOneCustomer; NotFound for another customer's object.
    """
    if owner is not None:
        if owner != key.customer_id:
            raise NotFound("There is nothing here.")
        return
    if "customer_id" in ids:
        named = [ids["customer_id"]]
    elif request.method in {"GET", "HEAD"}:
        named = request.query_params.getlist("customer_id")
    else:
        named = [] if ids else [*_in_body(request.data), *_in_headers(request)]
    if not named or any(each != key.customer_id for each in named):
        raise OfOneCustomer(f"This key acts for the customer {key.customer_id} only.")


def _in_body(body: Any) -> Iterator[Any]:
    """Yield the customer of each part of a body, None for one that names none."""
    match body:
        case Mapping():
            parts = [body[name] for name in _LISTS if isinstance(body.get(name), list)]
            if parts:
                for part in parts:
                    yield from _in_body(part)
            else:
                found = [body[name] for name in _NAMES if name in body]
                yield from found or [None]
        case list():
            for each in body:
                yield from _in_body(each)
        case _:
            yield None


def _in_headers(request: Request) -> list[str]:
    """Return the customer of a CloudEvent whose body is its data alone; such a body has to name the
    customer too, because other addresses take no notice of these headers.
    """
    subject = request.headers.get("ce-subject")
    return [] if subject is None else [unquote(subject)]
