"""The statements of usage in real time: few for one call, and no more for a list."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from aforo.protocol.idempotency import Answer
from billing.realtime.usage_pricing import UsagePricing
from billing.realtime.usage_requests import UsageRequest, UsageReserveRequest
from tests import factories
from wallets.debits import engine
from wallets.debits.combiner import execute_list

pytestmark = pytest.mark.django_db

D = Decimal


def asked(name: str, customer: str = "cust_1") -> UsageRequest:
    return UsageRequest(customer_id=customer, key=name, metric="tokens", quantity=D(100))


def reserved(name: str) -> UsageReserveRequest:
    return UsageReserveRequest(customer_id="cust_1", key=name, metric="tokens", quantity=D(100))


def statements(requests: Sequence[engine.Request]) -> int:
    """Execute a list; return the number of its statements, those of savepoints left out."""
    with CaptureQueriesContext(connection) as captured:
        results = execute_list(requests, livemode=False, pricing=UsagePricing)
    assert all(isinstance(result, Answer) for result in results), results
    return sum("SAVEPOINT" not in query["sql"] for query in captured.captured_queries)


@pytest.fixture(autouse=True)
def company() -> None:
    factories.offering(billing_mode="PREPAID")
    for n in (1, 2, 3):
        factories.customer(f"cust_{n}")
        factories.subscription(f"cust_{n}")
        factories.top_up(f"cust_{n}", "100")
        # The first of all opens wallets and reads the catalogue.
        statements([asked("first", f"cust_{n}")])


def test_one_call_takes_few_statements() -> None:
    """To find and lock the book two, to read the list with its cycles one, their sums one, to write
    one.
    """
    assert statements([asked("debit")]) == 5
    assert statements([reserved("hold")]) == 5


def test_a_capture_takes_few_statements() -> None:
    (held,) = execute_list([reserved("hold")], livemode=False, pricing=UsagePricing)
    capture = engine.CaptureRequest(
        reservation=UUID(factories.body(held)["id"]), key="capture", quantity=D(50)
    )

    # Whose reservation it is, and whether what was released pays for something.
    assert statements([capture]) == 7


def test_a_list_takes_no_more_than_one_call() -> None:
    one = statements([asked("one")])

    many = statements([asked(f"{n}", f"cust_{n % 3 + 1}") for n in range(60)])

    # A list queues for no single book.
    assert many == one - 1
