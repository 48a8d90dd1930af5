"""What every address of the API refuses, tried on all of them: a named problem, never a 5xx or a
page, and nothing changes.
"""

from __future__ import annotations

import base64
import io
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.test import RequestFactory
from rest_framework.test import APIClient

from aforo.api.parsers import MAX_DEPTH
from aforo.requests import EdgeMiddleware
from tests import factories
from tests.api.routes import METHODS, OWN, ROUTES, STRICT

pytestmark = pytest.mark.django_db

UNKNOWN = {"surely_unknown": 1}


@pytest.fixture(autouse=True)
def nothing_changes(api: APIClient) -> Any:
    factories.customer("cust_1")
    factories.top_up("cust_1", "100")
    factories.top_up("cust_1", "50")
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
    assert named == "There is no such filter. Known: cursor, customer_id, page_size, status."


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
    for address in ("/v1/wallets/top-ups", "/v1/ledger/entries?customer_id=cust_1"):
        is_problem(api.get(address, {"cursor": cursor}), 422, "invalid_cursor", address)


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
        "There is no such field. Known: amount, currency, customer_id, idempotency_key, reason."
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
    """What the application server hands over for a body without a length."""
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
