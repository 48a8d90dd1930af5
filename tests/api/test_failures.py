"""What a failed request says: no more than is known."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest
from django.db import InterfaceError, OperationalError
from django.test import RequestFactory
from rest_framework.test import APIClient

from aforo.api import problems
from tests import factories


def caused(error: Exception, cause: Exception | None) -> Exception:
    error.__cause__ = cause
    return error


FAILURES = [
    (RuntimeError("anything"), 500),
    # The commit may have arrived before the connection was lost.
    (OperationalError("server closed the connection unexpectedly"), 503),
    (InterfaceError("connection already closed"), 503),
    (caused(OperationalError("lock timeout"), psycopg.errors.LockNotAvailable()), 503),
    (caused(OperationalError("deadlock"), psycopg.errors.DeadlockDetected()), 503),
    (caused(OperationalError("terminated"), psycopg.errors.AdminShutdown()), 503),
]


@pytest.mark.parametrize(("error", "status"), FAILURES)
def test_a_failure_never_promises_that_nothing_was_changed(error: Exception, status: int) -> None:
    answer = problems.render(error, RequestFactory().post("/v1/wallets/debit"))

    said: dict[str, Any] = json.loads(answer.content)
    assert answer.status_code == status
    assert "nothing was changed" not in said["detail"]
    assert "same idempotency key" in said["detail"]


@pytest.mark.django_db
def test_a_payment_that_is_begun_and_fails_on_the_way_is_one_top_up(
    api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order is committed when the second transaction fails: the repeat goes on with it."""
    book = factories.customer()
    body = {
        "customer_id": "cust_1",
        "amount": "10",
        "currency": "USD",
        "payment": {"method": "test_ok"},
        "idempotency_key": "k",
    }
    api.raise_request_exception = False

    def fail(*args: Any, **terms: Any) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr("wallets.top_ups.payments.fulfil_top_up", fail)
        first = api.post("/v1/wallets/top-ups", body)
    again = api.post("/v1/wallets/top-ups", body)

    assert first.status_code == 500
    assert "nothing was changed" not in first.json()["detail"]
    assert again.status_code == 201
    assert factories.available(book) == 10
