"""What other systems are told of a cycle's end: that it is settled, billed, and what lapsed."""

from __future__ import annotations

from typing import Any

import pytest

from aforo.webhooks.models import OutboxEvent
from billing.models import Invoice, Settlement
from tests import factories
from tests.factories import START

pytestmark = pytest.mark.django_db

FEBRUARY = START.replace(month=2)


def told(type_: str) -> list[dict[str, Any]]:
    return list(OutboxEvent.objects.filter(type=type_).values_list("payload", flat=True))


def test_a_settled_cycle_and_its_invoice_are_told_once() -> None:
    factories.offering()
    book = factories.clocked_customer()
    factories.subscription("cust_1")
    factories.meter(1_000, START, key="cust_1")

    factories.advance(book, FEBRUARY)
    factories.advance(book, FEBRUARY)

    settlement = Settlement.objects.get(kind="CYCLE")
    (settled,) = told("settlement.completed")
    assert settled["settlement"] == str(settlement.pk)
    assert settled["subscription"] == str(settlement.subscription_id)
    assert settled["starts_at"] == "2026-01-01T00:00:00Z"
    assert settled["ends_at"] == "2026-02-01T00:00:00Z"
    assert (settled["total"], settled["to_invoice"], settled["arrears"]) == ("2", "2", "0")
    (issued,) = told("invoice.finalized")
    assert issued == {
        "customer_id": "cust_1", "invoice": Invoice.objects.get().number, "amount": "2",
        "currency": "USD", "status": "OPEN", "due_at": "2026-03-03T00:00:00Z",
    }  # fmt: skip


def test_what_lapses_is_told_once_with_what_was_left() -> None:
    book = factories.clocked_customer()
    factories.top_up("cust_1", "10", name="t", expires_at=START.replace(day=9))
    factories.debit("cust_1", "4", "d")

    factories.advance(book, FEBRUARY)
    factories.advance(book, FEBRUARY)

    (lapsed,) = told("credits.expired")
    assert (lapsed["kind"], lapsed["amount"], lapsed["currency"]) == ("CASH", "6", "USD")
    assert OutboxEvent.objects.get(type="credits.expired").occurred_at == START.replace(day=9)
