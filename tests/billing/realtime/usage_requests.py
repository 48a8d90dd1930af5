"""Usage debited, reserved and captured over the API."""

from __future__ import annotations

from typing import Any

from rest_framework.test import APIClient


def use(api: APIClient, quantity: object, key: str, **terms: Any) -> Any:
    body = {"customer_id": "cust_1", "metric": "tokens", "quantity": quantity}
    return api.post("/v1/usage/debit", body | {"idempotency_key": key} | terms)


def reserve(api: APIClient, quantity: int, key: str = "r1", **terms: Any) -> Any:
    body = {"customer_id": "cust_1", "metric": "tokens", "quantity": quantity}
    return api.post("/v1/usage/reserve", body | {"idempotency_key": key} | terms)


def capture(api: APIClient, reservation: str, key: str = "c1", **terms: Any) -> Any:
    path = f"/v1/wallets/reservations/{reservation}/capture"
    return api.post(path, {"idempotency_key": key} | terms)
