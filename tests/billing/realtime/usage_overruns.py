"""Captures of usage at 4.39 times their estimate: 21,950 tokens of 5,000, 43.90 of 10.00."""

from __future__ import annotations

from typing import Any

from rest_framework.test import APIClient

from billing.models import Settlement, Subscription
from ledger.models import Book
from tests.billing.realtime.usage_captures import DAY
from tests.billing.realtime.usage_requests import capture, reserve
from tests.factories import FEBRUARY, START, advance

ESTIMATE, REAL = 5_000, 21_950


def limit_debt(api: APIClient, limit: str) -> None:
    body = {"currency": "USD", "debt_limit": limit}
    answer = api.patch("/v1/wallets/cust_1/limits", body)
    assert answer.status_code == 200, answer.content


def overrun(api: APIClient, policy: str, **terms: Any) -> Any:
    held = reserve(api, ESTIMATE, over_capture=policy).json()["id"]
    return capture(api, held, quantity=REAL, **terms)


def status() -> str:
    return Subscription.objects.get().status


def settled(book: Book) -> Settlement:
    advance(book, FEBRUARY + DAY)
    return Settlement.objects.get(subscription__customer=book.pk, starts_at=START)


def forgiven(settlement: Settlement) -> str | None:
    """Return what the document leaves out of its usage, by stage Discount."""
    (stage,) = [each for each in settlement.stages if each["title"] == "Discount"]
    found: str | None = stage["out"].get("forgiven")
    return found
