"""Whatever is sent, the answer is a problem with a name, never a 5xx, and nothing changes."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from aforo.access.services import create_api_key
from tests import factories

pytestmark = pytest.mark.django_db

DEBIT = "/v1/wallets/debit"


@pytest.fixture(autouse=True)
def customer() -> None:
    factories.customer("cust_1")
    factories.customer("cust_live", livemode=True)
    factories.metric()
    factories.top_up("cust_1", "100")


def debit(**changes: Any) -> dict[str, Any]:
    body = {"customer_id": "cust_1", "amount": "5", "idempotency_key": "k"} | changes
    return {name: value for name, value in body.items() if value is not None}


@pytest.mark.parametrize(
    ("body", "status", "code", "pointer"),
    [
        (debit(customer_id="nobody"), 404, "unknown_customer", None),
        (debit(customer_id="cust_live"), 404, "unknown_customer", None),
        (debit(customer_id="x" * 65), 422, "max_length", "/customer_id"),
        (debit(customer_id="a\x00b"), 422, "null_characters_not_allowed", "/customer_id"),
        (debit(customer_id=None), 422, "required", "/customer_id"),
        (debit(amount=0), 422, "not_positive", "/amount"),
        (debit(amount="-5"), 422, "not_positive", "/amount"),
        (debit(amount="NaN"), 422, "invalid_number", "/amount"),
        (debit(amount="Infinity"), 422, "invalid_number", "/amount"),
        (debit(amount="1E+999999"), 422, "invalid_number", "/amount"),
        (debit(amount="9" * 5000), 422, "invalid_number", "/amount"),
        (debit(amount="1" + "0" * 26), 422, "too_large", "/amount"),
        (debit(amount="0.0000000000001"), 422, "too_many_decimals", "/amount"),
        (debit(amount="5,00"), 422, "invalid_number", "/amount"),
        (debit(amount=True), 422, "invalid_number", "/amount"),
        (debit(amount=[5]), 422, "invalid_number", "/amount"),
        (debit(amount=None), 422, "required", "/amount"),
        (debit(currency="XXX"), 422, "unknown_currency", "/currency"),
        (debit(strategy="LUCK"), 422, "invalid_choice", "/strategy"),
        (debit(tip="1"), 422, "unknown_field", "/tip"),
        (debit(idempotency_key=None), 422, "idempotency_key_required", "/idempotency_key"),
        (debit(idempotency_key="k" * 256), 422, "max_length", "/idempotency_key"),
        (debit(metric="tokens"), 422, "invalid", "/metric"),
        (debit(amount=None, quantity="1"), 422, "required", "/metric"),
        (debit(amount=None, quantity="1", metric="no"), 422, "unknown_metric", "/metric"),
    ],
)
def test_a_bad_debit(
    api: APIClient, body: dict[str, Any], status: int, code: str, pointer: str | None
) -> None:
    before = factories.everything()

    response = api.post(DEBIT, body)

    problem = response.json()
    assert (response.status_code, problem["code"]) == (status, code)
    assert response["Content-Type"] == "application/problem+json"
    assert problem["status"] == status
    assert problem["request_id"] == response["X-Request-Id"]
    assert problem["title"]
    assert [e["pointer"] for e in problem.get("errors", [])] == ([pointer] if pointer else [])
    assert factories.everything() == before


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b'{"customer_id": "cust_1", "customer_id": "cust_2"}', 400),
        (b'{"customer_id": "\\ud800"}', 400),
        (b"[" * 100_000, 400),
        (b"[]", 422),
        (b"null", 422),
        (b"", 422),
        (b'{"customer_id":"cust_1","idempotency_key":"k","amount":1E+999999}', 422),
        (b'{"customer_id":"cust_1","idempotency_key":"k","amount":NaN}', 422),
        (b'{"customer_id":"cust_1","idempotency_key":"k","amount":' + b"9" * 5000 + b"}", 422),
    ],
)
def test_a_body_that_is_no_request(api: APIClient, raw: bytes, status: int) -> None:
    before = factories.everything()

    response = api.post(DEBIT, raw, content_type="application/json")

    assert response.status_code == status
    assert response["Content-Type"] == "application/problem+json"
    assert factories.everything() == before


def test_too_large_a_body(api: APIClient) -> None:
    response = api.post(DEBIT, b" " * (9 * 1024 * 1024), content_type="text/plain")

    assert response.status_code == 413


@pytest.mark.parametrize(
    "headers",
    [{}, {"HTTP_AUTHORIZATION": "Bearer sk_test_wrong"}, {"HTTP_X_API_KEY": "sk_live_wrong"}],
)
def test_without_a_valid_key(headers: dict[str, str]) -> None:
    client = APIClient()
    client.credentials(**headers)

    response = client.post(DEBIT, debit())

    assert (response.status_code, response.json()["code"]) == (401, "unauthorized")
    assert "Bearer" in response["WWW-Authenticate"]


def test_a_key_outside_its_scopes() -> None:
    _, secret = create_api_key(livemode=False, name="usage only", scopes=["usage"])
    before = factories.everything()

    response = APIClient().post(DEBIT, debit(), HTTP_X_API_KEY=secret)

    assert (response.status_code, response.json()["code"]) == (403, "forbidden")
    assert "wallets" in response.json()["detail"]
    assert factories.everything() == before


def test_a_live_key_does_not_see_a_sandbox_customer(live_api: APIClient) -> None:
    before = factories.everything()

    written = live_api.post(DEBIT, debit())
    read = live_api.get("/v1/wallets/cust_1")

    assert (written.status_code, read.status_code) == (404, 404)
    assert factories.everything() == before


def test_header_and_body_keys_that_differ(api: APIClient) -> None:
    response = api.post(DEBIT, debit(), HTTP_IDEMPOTENCY_KEY="other")

    assert (response.status_code, response.json()["code"]) == (422, "key_mismatch")


def test_the_header_alone_is_a_key(api: APIClient) -> None:
    body = debit(idempotency_key=None)

    first = api.post(DEBIT, body, HTTP_IDEMPOTENCY_KEY="h")
    again = api.post(DEBIT, body, HTTP_IDEMPOTENCY_KEY="h")

    assert first.status_code == 200
    assert again.content == first.content
    assert again["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/nothing", 404),
        ("/v1/wallets/nobody", 404),
        ("/v1/customers/nobody", 404),
        ("/v1/invoices/INV-999999", 404),
        ("/v1/settlements/00000000-0000-0000-0000-000000000000", 404),
        ("/v1/subscriptions/00000000-0000-0000-0000-000000000000", 404),
        ("/v1/rate-plans/nothing", 404),
        ("/v1/ledger/entries?from=yesterday", 422),
        ("/v1/ledger/entries?cursor=rubbish", 422),
        ("/v1/ledger/trial-balance?as_of=soon", 422),
        ("/v1/ledger/verify?customer_id=nobody", 404),
    ],
)
def test_reads_that_find_nothing(api: APIClient, path: str, status: int) -> None:
    response = api.get(path)

    assert response.status_code == status
    assert response["Content-Type"] == "application/problem+json"


def test_a_method_that_an_address_does_not_have(api: APIClient) -> None:
    response = api.delete(DEBIT)

    assert response.status_code == 405
    assert response["Content-Type"] == "application/problem+json"


def test_a_declined_payment_buys_nothing(api: APIClient) -> None:
    body = {
        "customer_id": "cust_1",
        "amount": "10",
        "currency": "USD",
        "payment": {"method": "test_declined"},
        "idempotency_key": "t",
    }
    before = factories.everything()

    response = api.post("/v1/wallets/top-ups", body)

    assert (response.status_code, response.json()["code"]) == (402, "payment_declined")
    assert factories.everything() == before


def test_a_currency_in_lower_case(api: APIClient) -> None:
    response = api.post(DEBIT, debit(currency="usd"))

    assert response.json()["currency"] == "USD"
