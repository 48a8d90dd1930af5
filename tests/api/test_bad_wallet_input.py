"""Whatever is sent to reserve, capture, void, reverse or refund: a named problem, and no change.

Tables are walked inside one test each, since every row leaves everything as it was.
"""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from aforo.access.services import create_api_key
from tests import factories
from tests.wallets import actions

pytestmark = pytest.mark.django_db

RESERVE = "/v1/wallets/reservations"
REFUND = "/v1/wallets/refunds"
HOLD = {"customer_id": "cust_1", "amount": "5", "idempotency_key": "k"}
PAY_BACK = {
    "customer_id": "cust_1",
    "amount": "5",
    "currency": "USD",
    "reason": "unhappy",
    "idempotency_key": "k",
}
CAPTURE = {"amount": "1", "idempotency_key": "k"}
TAKE_BACK = {"amount": "1", "reason": "mistake", "idempotency_key": "k"}
VOID = {"idempotency_key": "k"}
NOWHERE = "00000000-0000-0000-0000-000000000000"


@pytest.fixture(autouse=True)
def addresses() -> dict[str, str]:
    """A customer with 100 in cash, of which 10 are held and 10 are burned."""
    factories.customer("cust_1")
    factories.customer("cust_live", livemode=True)
    factories.metric()
    factories.top_up("cust_1", "100")
    reserved = actions.held("10")
    burned = factories.body(factories.debit("cust_1", "10"))["id"]
    return {
        "reserve": RESERVE,
        "refund": REFUND,
        "capture": f"{RESERVE}/{reserved}/capture",
        "void": f"{RESERVE}/{reserved}/void",
        "reverse": f"/v1/wallets/debits/{burned}/reverse",
        "capture nothing": f"{RESERVE}/{NOWHERE}/capture",
        "void nothing": f"{RESERVE}/{NOWHERE}/void",
        "reverse nothing": f"/v1/wallets/debits/{NOWHERE}/reverse",
        "capture rubbish": f"{RESERVE}/rubbish/capture",
        "reverse rubbish": "/v1/wallets/debits/rubbish/reverse",
    }


# What every amount refuses, wherever it stands.
NO_AMOUNTS: list[tuple[object, str]] = [
    (0, "not_positive"),
    ("-1", "not_positive"),
    ("NaN", "invalid_number"),
    ("-Infinity", "invalid_number"),
    ("1E+999999", "invalid_number"),
    ("9" * 5_000, "invalid_number"),
    ("1" + "0" * 26, "too_large"),
    ("0.0000000000001", "too_many_decimals"),
    ("", "invalid_number"),
    (True, "invalid_number"),
    ({}, "invalid_number"),
]

BODIES: dict[str, dict[str, Any]] = {
    "reserve": HOLD,
    "capture": CAPTURE,
    "reverse": TAKE_BACK,
    "refund": PAY_BACK,
}

OTHERS: list[tuple[str, dict[str, Any], int, str, str | None]] = [
    ("reserve", HOLD | {"customer_id": "nobody"}, 404, "unknown_customer", None),
    ("reserve", HOLD | {"customer_id": "cust_live"}, 404, "unknown_customer", None),
    ("reserve", HOLD | {"expires_in": 0}, 422, "min_value", "/expires_in"),
    ("reserve", HOLD | {"expires_in": -1}, 422, "min_value", "/expires_in"),
    ("reserve", HOLD | {"expires_in": 2_592_001}, 422, "max_value", "/expires_in"),
    ("reserve", HOLD | {"expires_in": 10**400}, 422, "max_value", "/expires_in"),
    ("reserve", HOLD | {"expires_in": "1.5"}, 422, "invalid", "/expires_in"),
    ("reserve", HOLD | {"expires_in": "soon"}, 422, "invalid", "/expires_in"),
    ("reserve", HOLD | {"expires_in": None}, 422, "null", "/expires_in"),
    ("reserve", HOLD | {"strategy": "LUCK"}, 422, "invalid_choice", "/strategy"),
    ("reserve", HOLD | {"currency": "XXX"}, 422, "unknown_currency", "/currency"),
    ("reserve", HOLD | {"metric": "tokens"}, 422, "invalid", "/metric"),
    ("reserve", HOLD | {"tip": 1}, 422, "unknown_field", "/tip"),
    ("reserve", {"customer_id": "cust_1", "idempotency_key": "k"}, 422, "required", "/amount"),
    ("reserve", HOLD | {"idempotency_key": ""}, 422, "blank", "/idempotency_key"),
    ("reserve", HOLD | {"idempotency_key": "k" * 256}, 422, "max_length", "/idempotency_key"),
    ("reserve", {"customer_id": "cust_1", "amount": 5}, 422, "idempotency_key_required",
     "/idempotency_key"),
    ("reserve", HOLD | {"amount": "80.01"}, 402, "insufficient_funds", None),
    ("reserve", HOLD | {"over_capture": "STEAL"}, 422, "invalid_choice", "/over_capture"),
    ("reserve", HOLD | {"grace_seconds": 86401}, 422, "max_value", "/grace_seconds"),
    ("reserve", HOLD | {"grace_seconds": -1}, 422, "min_value", "/grace_seconds"),
    ("capture", CAPTURE | {"quantity": "1"}, 422, "invalid", "/quantity"),
    ("capture", CAPTURE | {"final": "perhaps"}, 422, "invalid", "/final"),
    ("capture", CAPTURE | {"final": None}, 422, "null", "/final"),
    ("capture", CAPTURE | {"allow_more": 2}, 422, "invalid", "/allow_more"),
    ("capture", CAPTURE | {"customer_id": "cust_1"}, 422, "unknown_field", "/customer_id"),
    ("capture", {"amount": 1}, 422, "idempotency_key_required", "/idempotency_key"),
    ("capture", CAPTURE | {"amount": "91", "allow_more": True}, 402, "insufficient_funds", None),
    ("capture nothing", CAPTURE, 404, "unknown_reservation", None),
    ("capture rubbish", CAPTURE, 404, "unknown_path", None),
    ("void", {}, 422, "idempotency_key_required", "/idempotency_key"),
    ("void", VOID | {"amount": 1}, 422, "unknown_field", "/amount"),
    ("void nothing", VOID, 404, "unknown_reservation", None),
    ("reverse", TAKE_BACK | {"amount": "10.01"}, 422, "exceeds_debit", "/amount"),
    ("reverse", TAKE_BACK | {"quantity": "1"}, 422, "invalid", "/quantity"),
    ("reverse", {"amount": 1, "idempotency_key": "k"}, 422, "required", "/reason"),
    ("reverse", TAKE_BACK | {"reason": " "}, 422, "blank", "/reason"),
    ("reverse", TAKE_BACK | {"reason": "x" * 501}, 422, "max_length", "/reason"),
    ("reverse", TAKE_BACK | {"reason": "a\x00b"}, 422, "null_characters_not_allowed", "/reason"),
    ("reverse", TAKE_BACK | {"reason": ["x"]}, 422, "invalid", "/reason"),
    ("reverse", {"reason": "x"}, 422, "idempotency_key_required", "/idempotency_key"),
    ("reverse nothing", TAKE_BACK, 404, "unknown_debit", None),
    ("reverse rubbish", TAKE_BACK, 404, "unknown_path", None),
    ("refund", PAY_BACK | {"customer_id": "nobody"}, 404, "unknown_customer", None),
    ("refund", PAY_BACK | {"currency": "XXX"}, 422, "unknown_currency", "/currency"),
    ("refund", PAY_BACK | {"currency": "EUR"}, 402, "insufficient_funds", None),
    ("refund", PAY_BACK | {"amount": "80.01"}, 402, "insufficient_funds", None),
    ("refund", PAY_BACK | {"reason": ""}, 422, "blank", "/reason"),
    ("refund", PAY_BACK | {"metric": "tokens"}, 422, "unknown_field", "/metric"),
    ("refund", PAY_BACK | {"currency": None}, 422, "null", "/currency"),
    ("refund", {}, 422, "invalid", "several"),
]  # fmt: skip


RAW: list[tuple[bytes, int]] = [
    (b"{", 400),
    (b"\xff\xfe", 400),
    (b'{"idempotency_key": "a", "idempotency_key": "b"}', 400),
    (b'{"idempotency_key": "\\ud800"}', 400),
    (b"[" * 100_000, 400),
    (b"[]", 422),
    (b"null", 422),
    (b'"k"', 422),
    (b"", 422),
    (b'{"idempotency_key": "k", "amount": 1E+999999}', 422),
    (b'{"idempotency_key": "k", "amount": -NaN}', 400),
]

READS: list[tuple[str, int]] = [
    (f"{RESERVE}?status=GONE", 422),
    (f"{RESERVE}?customer_id=nobody", 200),
    (f"{RESERVE}?customer_id=a%00b", 422),
    (f"{RESERVE}?cursor=rubbish", 422),
    (f"{RESERVE}?page_size=x", 422),
    (f"{RESERVE}/rubbish", 404),
    (f"{RESERVE}/{NOWHERE}", 404),
    ("/v1/wallets/cust_1/movements?kind=GONE", 422),
    ("/v1/wallets/cust_1/movements?lot=rubbish", 422),
    ("/v1/wallets/cust_1/movements?entry=rubbish", 422),
    (f"/v1/wallets/cust_1/movements?lot={NOWHERE}", 200),
    ("/v1/wallets/cust_1/movements?cursor=rubbish", 422),
    ("/v1/wallets/cust_1?as_of=yesterday", 422),
    ("/v1/wallets/cust_1?as_of=9999-12-31T23:59:59Z", 422),
    ("/v1/wallets/cust_1?as_of=0001-01-01T00:00:00%2B14:00", 422),
    ("/v1/wallets/cust_1?as_of=0001-01-01T00:00:00Z", 422),
    ("/v1/wallets/cust_1?as_of=", 422),
    ("/v1/wallets/cust_1?as_of=%00", 422),
]


def check(
    api: APIClient, address: str, body: Any, expected: tuple[int, str], pointer: str | None
) -> None:
    before = factories.everything()

    response = api.post(address, body)

    problem = response.json()
    assert (response.status_code, problem["code"]) == expected, (body, problem)
    assert response["Content-Type"] == "application/problem+json"
    assert problem["request_id"] == response["X-Request-Id"]
    pointers = [error["pointer"] for error in problem.get("errors", [])]
    assert pointers == ([pointer] if pointer else []) or (pointer == "several" and pointers)
    assert factories.everything() == before, body


@pytest.mark.parametrize("name", BODIES)
def test_no_amount(api: APIClient, addresses: dict[str, str], name: str) -> None:
    for amount, code in NO_AMOUNTS:
        check(api, addresses[name], BODIES[name] | {"amount": amount}, (422, code), "/amount")


def test_no_request(api: APIClient, addresses: dict[str, str]) -> None:
    for name, body, status, code, pointer in OTHERS:
        check(api, addresses[name], body, (status, code), pointer)


@pytest.mark.parametrize("name", ["reserve", "capture", "void", "reverse", "refund"])
def test_no_json(api: APIClient, addresses: dict[str, str], name: str) -> None:
    before = factories.everything()

    for raw, status in RAW:
        response = api.post(addresses[name], raw, content_type="application/json")

        assert response.status_code == status, (raw[:50], response.content)
        assert response["Content-Type"] == "application/problem+json"
    assert factories.everything() == before


def test_without_a_key_or_outside_its_scopes(addresses: dict[str, str]) -> None:
    _, usage_only = create_api_key(livemode=False, name="usage only", scopes=["usage"])
    before = factories.everything()

    for name in ("reserve", "capture", "void", "reverse", "refund"):
        body = BODIES.get(name, VOID)
        nobody = APIClient().post(addresses[name], body)
        other = APIClient().post(addresses[name], body, HTTP_X_API_KEY=usage_only)
        assert (nobody.status_code, other.status_code) == (401, 403)
    assert factories.everything() == before


def test_reads(api: APIClient) -> None:
    for address, status in READS:
        assert api.get(address).status_code == status, address
