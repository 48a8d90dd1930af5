"""What every address of the API refuses, tried on all of them: a named problem, never a 5xx or a
page, and nothing changes.
"""

from __future__ import annotations

import base64
import io
import json
import re
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.db import OperationalError
from django.test import Client, RequestFactory
from rest_framework import serializers
from rest_framework.test import APIClient

from aforo.api.fields import StrictSerializer
from aforo.api.parsers import MAX_DEPTH
from aforo.serving import database_schema
from aforo.serving.edge import EdgeMiddleware
from ledger.models import Entry
from tests import factories
from tests.api.routes import METHODS, NOWHERE, OWN, ROUTES, STRICT
from wallets.models import CreditLot

pytestmark = pytest.mark.django_db

UNKNOWN = {"surely_unknown": 1}


@pytest.fixture(autouse=True)
def nothing_changes(api: APIClient) -> Any:
    factories.customer("cust_1")
    factories.top_up("cust_1", "100")
    factories.top_up("cust_1", "50")
    factories.customer("cust_live", livemode=True)
    factories.top_up("cust_live", "10", livemode=True)
    before = factories.everything()
    yield
    assert factories.everything() == before


def is_problem(response: Any, status: int, code: str, where: object = "") -> dict[str, Any]:
    assert response.status_code == status, (where, response.status_code, response.content[:300])
    assert response["Content-Type"] == "application/problem+json", where
    problem: dict[str, Any] = response.json()
    assert (problem["status"], problem["code"]) == (status, code), (where, problem)
    assert problem["request_id"] == response["X-Request-Id"]
    assert "{" not in problem["title"] + problem["detail"], problem
    return problem


def test_the_walk_finds_the_api() -> None:
    found = {route.template for route in ROUTES}

    assert {"/v1/wallets/debit", "/v1/ledger/entries", "/api/v1/ingest", "/v1/docs"} <= found
    assert len(OWN) > 60


def test_a_method_that_an_address_does_not_have(api: APIClient) -> None:
    for route in ROUTES:
        for method in {*METHODS} - route.methods:
            response = api.generic(method.upper(), route.address)
            is_problem(response, 405, "method_not_allowed", (method, route.address))
            assert response["Allow"]


@pytest.mark.parametrize(
    "path", ["/v1", "/v1/", "/v1/nothing", "/v1/customers/", "/api/v1/nothing", "/v1/customers/a/b"]
)
def test_an_unknown_address(path: str) -> None:
    """Also from a browser, which checks for forged requests, and without a key."""
    client = APIClient(enforce_csrf_checks=True)

    for method in METHODS:
        is_problem(client.generic(method.upper(), path), 404, "unknown_path", (method, path))


def test_an_address_with_a_nul(api: APIClient) -> None:
    for route in OWN:
        if "<str:" in route.template:
            address = route.address.replace("nothing", "a%00b")
            is_problem(api.get(address), 404, "unknown_path", address)


def test_a_wrong_host(api: APIClient) -> None:
    for route in ROUTES:
        is_problem(api.get(route.address, HTTP_HOST="evil.example"), 400, "wrong_host", route)


def test_an_unknown_filter(api: APIClient) -> None:
    """It is refused before anything is looked up, and the known ones are named."""
    for route in STRICT:
        for method in route.methods - {"trace"}:
            response = api.generic(method.upper(), f"{route.address}?surely_unknown=1")
            problem = is_problem(response, 422, "unknown_filter", (method, route.address))
            assert problem["errors"][0]["pointer"] == "/surely_unknown"
            assert "nown" in problem["errors"][0]["detail"]

    named = api.get("/v1/invoices?customer=acme").json()["errors"][0]["detail"]
    assert (
        named == "There is no such filter. Known: cursor, customer_id, overdue, page_size, status."
    )


def test_a_filter_without_a_value_or_twice(api: APIClient) -> None:
    """Taken for none, each would show everybody's rows."""
    is_problem(api.get("/v1/invoices?customer_id="), 422, "blank")
    is_problem(api.get("/v1/invoices?status=%20"), 422, "blank")
    is_problem(api.get("/v1/invoices?customer_id=a&customer_id=b"), 422, "repeated")
    is_problem(api.post("/v1/settlements/run?customer_id=cust_1", {}), 422, "unknown_filter")


def test_pages(api: APIClient) -> None:
    forged = [base64.b64encode(text.encode()).decode() for text in ("p=abc", "o=99999999", "r=x")]
    lists = [route for route in STRICT if hasattr(route.view, "pagination_class")]
    assert len(lists) > 12
    for route in lists:
        if "<" in route.template:
            continue
        for size in ("0", "501", "-1", "x", "1.5", "٣", "1" * 5_000):
            response = api.get(route.address, {"page_size": size})
            is_problem(response, 422, "invalid_page_size", (size, route.address))
        for cursor in ("rubbish", "é", "WyJhIl0:x", *forged):
            response = api.get(route.address, {"cursor": cursor})
            is_problem(response, 422, "invalid_cursor", (cursor, route.address))
        assert api.get(route.address, {"page_size": "500"}).status_code == 200


def test_a_cursor_belongs_to_its_list_and_its_order(api: APIClient) -> None:
    following = str(api.get("/v1/ledger/entries", {"page_size": "1"}).json()["next"])
    cursor = parse_qs(urlsplit(following).query)["cursor"][0]

    assert api.get(following).status_code == 200
    for address in ("/v1/wallets/top-ups?", "/v1/ledger/entries?customer_id=cust_1&"):
        response = api.get(f"{address}cursor={quote(cursor)}")
        is_problem(response, 422, "invalid_cursor", address)


def test_unknown_members_are_named_with_the_known_ones(api: APIClient) -> None:
    for route in STRICT:
        for method in route.bodies:
            response = getattr(api, method)(route.address, UNKNOWN)
            problem = is_problem(response, 422, "unknown_field", (method, route.address))
            (error,) = problem["errors"]
            assert error["pointer"] == "/surely_unknown"
            assert "nown" in error["detail"]

    error = api.post("/v1/wallets/refunds", UNKNOWN).json()["errors"][0]
    assert error["detail"] == (
        "There is no such field. "
        "Known: amount, currency, customer_id, idempotency_key, reason, top_up."
    )


def test_too_many_members_get_a_short_answer(api: APIClient) -> None:
    body = json.dumps({f"m{number}": number for number in range(100_000)})
    for route in STRICT:
        for method in route.bodies:
            response = api.generic(method.upper(), route.address, body, "application/json")
            is_problem(response, 422, "invalid", (method, route.address))
            assert len(response.content) < 20_000


def test_nesting(api: APIClient) -> None:
    for depth in (MAX_DEPTH + 1, 700, 5_000, 100_000):
        body = '{"a":' * depth + "1" + "}" * depth
        for route in STRICT:
            for method in route.bodies:
                response = api.generic(method.upper(), route.address, body, "application/json")
                is_problem(response, 400, "unreadable", (depth, route.address))


def chunked(body: bytes, *, terminated: bool = True) -> dict[str, Any]:
    """Return what the application server hands over for a body without a length."""
    return {
        "HTTP_TRANSFER_ENCODING": "chunked",
        "CONTENT_LENGTH": "",
        "wsgi.input": io.BytesIO(body),
        "wsgi.input_terminated": terminated,
    }


def test_a_chunked_body_is_read_whole(api: APIClient) -> None:
    for route in STRICT:
        for method in route.bodies:
            sent = chunked(json.dumps(UNKNOWN).encode())
            response = api.generic(method.upper(), route.address, **sent)
            is_problem(response, 422, "unknown_field", (method, route.address))


def test_a_chunked_body_over_the_limit(api: APIClient) -> None:
    body = b" " * (settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)

    is_problem(api.generic("POST", "/v1/wallets/debit", **chunked(body)), 413, "too_large")
    is_problem(api.generic("POST", "/v1/ingest", **chunked(body)), 413, "too_large")


def test_a_length_over_the_limit_even_where_no_body_is_read(api: APIClient) -> None:
    length = str(settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)

    for route in OWN:
        response = api.generic("POST", route.address, CONTENT_LENGTH=length)
        is_problem(response, 413, "too_large", route.address)


def test_a_chunked_body_without_an_end(api: APIClient) -> None:
    sent = chunked(b"{}", terminated=False)

    is_problem(api.generic("POST", "/v1/wallets/debit", **sent), 411, "length_required")


def test_pages_outside_the_api_stay_what_they_are() -> None:
    edge = EdgeMiddleware(lambda request: pytest.fail("it went through"))
    request = RequestFactory().generic("POST", "/admin/login/", **chunked(b"a", terminated=False))
    assert isinstance(request, WSGIRequest)

    response = edge(request)

    assert (response.status_code, response["Content-Type"]) == (411, "text/plain")


def test_who_may_be_called_what(api: APIClient) -> None:
    """Nobody's own address is another address: what stands beside it cannot be a name."""
    creates = {
        "customer_id": ("/v1/customers", {"name": "X"}, "id"),
        "code": (
            "/v1/campaigns",
            {"name": "X", "trigger": "CODE", "kind": "PROMO", "amount": "1", "currency": "USD"},
            "code",
        ),
    }
    literals = {
        (name, word)
        for route in OWN
        for before, name in re.findall(r"^(.*?)<str:(\w+)>", route.template)
        for word in (
            other.template.removeprefix(before).split("/")[0]
            for other in OWN
            if other.template.startswith(before)
        )
        if "<" not in word
    }
    assert ("customer_id", "top-ups") in literals
    for name, word in literals | {("customer_id", "."), ("customer_id", "..")}:
        path, terms, member = creates[name]
        problem = api.post(path, {**terms, member: word}).json()
        assert (problem["status"], problem["errors"][0]["pointer"]) == (422, f"/{member}"), word


def test_times_that_cannot_be_reckoned_with(api: APIClient) -> None:
    far = ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "0026-01-01T00:00:00Z"]
    far += ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00", "2200-01-01T00:00:00Z"]
    bodies: list[tuple[str, str, dict[str, Any]]] = [
        ("/v1/test-clocks", "now", {}),
        (f"/v1/test-clocks/{NOWHERE}/advance", "now", {}),
        ("/v1/subscriptions", "starts_at", {"customer_id": "cust_1", "offering": "o"}),
        ("/v1/settlements/run", "as_of", {}),
        ("/v1/usage/debit", "occurred_at", {"customer_id": "c", "metric": "m", "quantity": 1}),
        ("/v1/tax-rates", "valid_from", {"name": "x", "country": "DE", "percent": "19"}),
        ("/v1/campaigns", "starts_at", {"code": "c", "name": "C", "trigger": "CODE"}),
        ("/v1/campaigns", "ends_at", {"code": "c", "name": "C", "trigger": "CODE"}),
        ("/v1/rate-plans/p/backtest", "from", {"to": "2026-01-01T00:00:00Z"}),
        ("/v1/rate-plans/p/backtest", "to", {"from": "2026-01-01T00:00:00Z"}),
    ]
    queries = [
        "/v1/wallets/cust_1?as_of=", "/v1/usage?customer_id=cust_1&from=",
        "/v1/usage?customer_id=cust_1&to=", "/v1/ledger/entries?from=", "/v1/ledger/entries?to=",
        "/v1/ledger/entries?recorded_until=", "/v1/ledger/reports/trial-balance?recorded_until=",
    ]  # fmt: skip
    days = [
        "/v1/ledger/trial-balance?as_of=", "/v1/ledger/entries?accounting_date=",
        "/v1/ledger/entries?accounting_from=", "/v1/ledger/entries?accounting_to=",
        "/v1/ledger/reports/trial-balance?as_of=",
    ]  # fmt: skip
    for moment in far:
        for path, member, body in bodies:
            problem = is_problem(
                api.post(path, {**body, member: moment}), 422, "out_of_range", (path, moment)
            )
            assert problem["errors"][0]["pointer"] == f"/{member}"
        for query in queries:
            is_problem(api.get(query + quote(moment)), 422, "out_of_range", (query, moment))
        for query in days:
            is_problem(api.get(query + moment[:10]), 422, "out_of_range", (query, moment))
    for period in ("0001-01", "9999-12", "2026-13", "2026-00", "x"):
        assert api.get(f"/v1/ledger/reports/trial-balance?period={period}").status_code == 422


def fields_of(serializer: serializers.BaseSerializer[Any]) -> Any:
    """Every field of a request, at every depth."""
    for name, field in getattr(serializer, "fields", {}).items():
        yield serializer, name, field
        inner = getattr(field, "child", field)
        yield from fields_of(inner)
        if inner is not field:
            yield serializer, f"{name}[]", inner


def strict(base: type[StrictSerializer] = StrictSerializer) -> Any:
    for kind in base.__subclasses__():
        yield kind
        yield from strict(kind)


def test_every_request_is_bounded() -> None:
    """Times, texts, lists, whole numbers and free objects: each field has a limit of its own."""
    unbounded = (
        serializers.DateTimeField, serializers.DateField, serializers.JSONField,
        serializers.DictField, serializers.FloatField, serializers.DecimalField,
    )  # fmt: skip
    kinds = set(strict())
    assert len(kinds) > 25
    for kind in kinds:
        for owner, name, field in fields_of(kind()):
            where = (type(owner).__name__, name)
            assert type(field) not in unbounded, where
            if isinstance(field, serializers.CharField | serializers.ListField):
                assert field.max_length is not None, where
            if isinstance(field, serializers.IntegerField):
                assert field.max_value is not None, where
            assert not isinstance(field, serializers.ListSerializer), where


def test_a_lot_of_the_other_mode_is_like_none(api: APIClient) -> None:
    theirs = CreditLot.objects.get(book__key="cust_live").pk
    entry = Entry.objects.filter(book__key="cust_live").latest("sequence").pk
    for name, other in (("lot", theirs), ("entry", entry)):
        address = f"/v1/wallets/cust_1/movements?{name}="
        found, absent = api.get(f"{address}{other}"), api.get(f"{address}{NOWHERE}")
        assert (found.status_code, found.content) == (200, absent.content)


def test_readiness_says_nothing_about_the_machine(client: Client) -> None:
    failure = OperationalError('connection to server at "10.0.0.7", port 5432 failed')
    with patch.object(database_schema, "faults", side_effect=failure):
        response = client.get("/readyz")

    assert response.status_code == 503
    assert response.json()["reason"] == "database"
