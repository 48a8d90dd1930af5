"""A check waits for nobody, and the database refuses whatever it might write."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import InternalError, transaction
from rest_framework.test import APIClient

from aforo.database.snapshot import snapshot
from ledger.models import Book
from tests import factories
from tests.concurrency.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_check_waits_for_no_lock(api: APIClient) -> None:
    factories.subscribed("PREPAID")
    factories.top_up("cust_1", "10")
    money = {"customer_id": "cust_1", "amount": "5", "currency": "USD"}
    usage = {"customer_id": "cust_1", "metric": "tokens", "quantity": "10"}
    locked, answered = threading.Event(), threading.Event()

    def call(number: int) -> Any:
        if number == 0:
            with transaction.atomic():
                Book.objects.select_for_update().get(key="cust_1")
                locked.set()
                return answered.wait(60)
        assert locked.wait(60)
        found = [api.post("/v1/wallets/check", body).json()["covered"] for body in (money, usage)]
        answered.set()
        return found

    assert at_once(2, call) == [True, [True, True]]


def test_nothing_can_be_written_in_a_snapshot() -> None:
    factories.customer()
    with pytest.raises(InternalError, match="read-only"), snapshot():
        Book.objects.update(sequence=7)
    assert Book.objects.get(key="cust_1").sequence == 0
