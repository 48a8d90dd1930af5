"""An invoice is overdue at its customer's own time."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from rest_framework.test import APIClient

from tests import factories
from tests.factories import FEBRUARY, START

pytestmark = pytest.mark.django_db


def test_on_a_clock(api: APIClient) -> None:
    """The real now is long after the due date; the clock decides, to the instant."""
    book = factories.clocked_customer("cust_1")
    factories.offering()
    factories.subscription("cust_1")
    sent = api.post("/v1/ingest", factories.event("cust_1", 5_000, "e", START))
    factories.advance(book, FEBRUARY)

    first = api.get("/v1/invoices").json()["data"][0]
    clock = f"/v1/test-clocks/{book.test_clock_id}/advance"
    due_at = datetime.fromisoformat(first["due_at"])
    api.post(clock, {"now": (due_at - timedelta(seconds=1)).isoformat()})
    before = api.get(f"/v1/invoices/{first['id']}").json()
    api.post(clock, {"now": first["due_at"]})
    after = api.get(f"/v1/invoices/{first['id']}").json()

    assert sent.json()["data"]["accepted"] == 1
    assert (first["status"], first["amount_due"]) == ("OPEN", "10")
    assert [each["overdue"] for each in (first, before, after)] == [False, False, True]
