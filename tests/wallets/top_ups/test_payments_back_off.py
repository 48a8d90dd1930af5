"""Payments whose gateway has no answer: asked again, later and later, and at once by the client."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from billing.jobs import due_work
from ledger.models import Book
from tests import factories
from wallets.models import TopUp
from wallets.top_ups import gateway, payments, waiting_payments
from wallets.top_ups.gateway import GatewayCharge, GatewayOutcome

pytestmark = pytest.mark.django_db

MICROSECOND = timedelta(microseconds=1)


def test_a_payment_without_an_answer_is_asked_about_less_and_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After 1, 2, 4, ... minutes, at most a day: 16 times in six days, not 8,640 times."""
    factories.customer("cust_1")
    asked: list[datetime] = []
    now = [timezone.now()]

    def charge(charge: GatewayCharge, *, now: datetime) -> GatewayOutcome:
        asked.append(now)
        return GatewayOutcome.PENDING

    monkeypatch.setattr(gateway.SANDBOX, "charge", charge, raising=False)
    monkeypatch.setattr("wallets.top_ups.payments.now_for", lambda book: now[0])
    begin_payment(now[0])
    while len(asked) < 16:
        waiting_payments.resolve_pending(now=now[0])
        due_at = TopUp.objects.get().ask_again_at
        assert due_at is not None
        assert waiting_payments.books_to_ask(now=due_at - MICROSECOND) == []
        now[0] = due_at

    waits = [(later - before) // timedelta(minutes=1) for before, later in pairwise(asked)]
    assert waits == [*(2**n for n in range(11)), *[1440] * 4]
    assert TopUp.objects.get().status == "PENDING"


def begin_payment(now: datetime) -> None:
    TopUp.objects.create(
        book=Book.objects.get(key="cust_1"),
        currency="USD",
        amount=10,
        channel="GATEWAY",
        method="test_ok",
        status="PENDING",
        key="t",
        created_at=now,
    )


@pytest.mark.parametrize("failing", ["gateway", "delivery"])
def test_a_payment_that_fails_backs_off_and_is_asked_at_once_by_its_client(
    api: APIClient, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    book = factories.customer("cust_1")
    body = {"customer_id": "cust_1", "amount": "10", "currency": "USD", "idempotency_key": "t"}
    api.raise_request_exception = False

    def fail(*args: Any, **terms: Any) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        if failing == "gateway":
            patched.setattr(gateway.SANDBOX, "charge", fail, raising=False)
        else:
            patched.setattr(payments, "fulfil_top_up", fail)
        first = api.post("/v1/wallets/top-ups", body)
        assert first.status_code == (202 if failing == "gateway" else 500)
        assert waiting_payments.books_to_ask(now=timezone.now()) == []
        swept = due_work.sweep(now=timezone.now() + timedelta(minutes=1), clock=timezone.now)
        assert [f.step for f in swept.failures] == ([] if failing == "gateway" else ["payments"])
        assert TopUp.objects.get().asked == 2
    assert waiting_payments.books_to_ask(now=timezone.now() + timedelta(seconds=90)) == []

    assert api.post("/v1/wallets/top-ups", body).status_code == 201
    assert factories.available(book) == 10
