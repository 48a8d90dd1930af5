"""The steps of a dispute, as the tests take them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from rest_framework.test import APIClient

from ledger.models import Posting
from tests import factories


def buy(api: APIClient, key: str = "t", **changes: Any) -> str:
    body = {"customer_id": "cust_1", "amount": "100", "currency": "USD", "idempotency_key": key}
    asked = body | {"bonus": {"amount": "20"}} | changes
    answer = api.post(
        "/v1/wallets/top-ups", {name: value for name, value in asked.items() if value is not None}
    )
    assert answer.status_code in {201, 202}, answer.content
    made: str = answer.json()["id"]
    return made


def move(api: APIClient, top_up: str, state: str, key: str = "", **said: str | None) -> Any:
    given = {name: value for name, value in said.items() if value is not None}
    return api.post(
        f"/v1/wallets/top-ups/{top_up}/dispute",
        {"state": state, "idempotency_key": key or f"dispute-{state}", **given},
    )


def posted(answer: Any) -> list[tuple[str, str, Decimal]]:
    found = Posting.objects.filter(entry=answer.json()["entry"]).order_by("position")
    return list(found.values_list("debit_id", "credit_id", "amount"))


def refund(api: APIClient, amount: str) -> Any:
    return api.post(
        "/v1/wallets/refunds",
        {"customer_id": "cust_1", "amount": amount, "currency": "USD", "reason": "unused",
         "idempotency_key": f"refund-{amount}"},
    )  # fmt: skip


def reverse(api: APIClient, debit: Any) -> None:
    done = api.post(
        f"/v1/wallets/debits/{factories.body(debit)['id']}/reverse",
        {"reason": "test", "idempotency_key": "reverse"},
    )
    assert done.status_code == 200
