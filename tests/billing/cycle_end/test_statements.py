"""How many statements the settlement of a subscription takes, however much usage it has."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.cycle_end import cycle_settlement, runs
from billing.models import Settlement, SettlementRunItem, SettlementStatus
from billing.usage import ingest
from ledger.models import Book
from tests import factories

pytestmark = pytest.mark.django_db

# One month's end lies in the cycle, and none between its end and now.
START = datetime(2026, 3, 10, 12, tzinfo=UTC)
NOW = datetime(2026, 4, 12, 12, tzinfo=UTC)


def prepare(customer: str, events: int) -> None:
    """Subscribe a customer whose cycle is over, with usage and credits for a part of it."""
    book = factories.clocked_customer(customer, START)
    factories.subscription(customer)
    factories.top_up(customer, "0.1")
    usage = [
        factories.event(customer, 100, f"{customer}-{n}", START + timedelta(minutes=n))
        for n in range(events)
    ]
    factories.set_clock(book, NOW)
    ingest.ingest(livemode=False, events=usage, received_at=NOW)


def test_a_settlement_takes_as_many_statements_for_much_usage_as_for_little() -> None:
    factories.offering()
    events = {"cust_1": 1, "cust_2": 50, "cust_3": 500, "cust_4": 1}
    for customer, number in events.items():
        prepare(customer, number)
    run = runs.start_run(livemode=False, as_of=None, customer_id=None, now=NOW)
    runs.plan(run_id=run.pk, clock=lambda: NOW)
    taken = {}

    for item in SettlementRunItem.objects.select_related("book").order_by("pk"):
        with CaptureQueriesContext(connection) as captured:
            runs.settle_item(item_id=item.pk, clock=lambda: NOW)
        taken[item.book.key] = len(captured)

    settled = Settlement.objects.filter(status=SettlementStatus.SETTLED).order_by("book_id")
    assert [each.totals["total"] for each in settled] == ["0.2", "10", "100", "0.2"]
    # Two of them tell other systems of the settlement and the invoice, and one writes the mail.
    # The first one of a process also reads the plan's terms, and opens the series of invoices; the
    # last one ends the run.
    assert taken["cust_2"] == taken["cust_3"]
    assert taken["cust_3"] <= 102


def settle(book: Book) -> int:
    """Settle the cycle of a customer that is over; return the number of statements."""
    with CaptureQueriesContext(connection) as captured:
        assert cycle_settlement.settle_book(book_id=book.pk, until=NOW, issued_at=NOW) == 1
    return len(captured)


def test_neither_lots_nor_earlier_cycles_make_a_settlement_take_more() -> None:
    factories.offering()
    taken = {}
    # By customer: the month of its first cycle, and the number of its lots.
    lived = {"first": (2, 1), "cust_1": (2, 1), "cust_2": (2, 20), "cust_3": (1, 1)}
    for customer, (month, lots) in lived.items():
        book = factories.clocked_customer(customer, START.replace(month=month))
        factories.subscription(customer)
        factories.meter(10, START.replace(month=month), key=customer)
        for n in range(lots):
            factories.top_up(customer, "0.1", name=f"{customer}-{n}")
        factories.advance(book, START)
        factories.meter(1_000, START, key=customer)
        factories.set_clock(book, NOW)
        taken[customer] = settle(book)

    # Two more than in a first cycle ask for usage of earlier ones that came late.
    assert taken["cust_1"] == taken["cust_2"] == taken["cust_3"] <= 100
