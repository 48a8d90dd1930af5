"""Every change of a customer's credits can be read back, newest first."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from billing.finance import verification
from tests import factories
from tests.factories import START
from wallets.debits import engine, reversals
from wallets.debits.combiner import execute_list
from wallets.models import Movement
from wallets.top_ups import refunds

pytestmark = pytest.mark.django_db


def test_each_change_names_its_lot_and_what_it_left(api: APIClient) -> None:
    factories.customer()
    factories.customer("cust_2")
    factories.metric()
    factories.top_up("cust_1", "10")
    factories.top_up("cust_2", "10")
    factories.grant_units("cust_1", "7")
    factories.debit("cust_1", "4")

    rows = api.get("/v1/wallets/cust_1/movements").json()["data"]

    assert [
        (r["kind"], r["credit"], r["currency"], r["metric"], r["quantity"], r["balance_after"])
        for r in rows
    ] == [
        ("BURN", "CASH", "USD", None, "4", "6"),
        ("GRANT", "PROMO", None, "tokens", "7", "7"),
        ("GRANT", "CASH", "USD", None, "10", "10"),
    ]
    assert rows[0]["event"] == "DEBIT"
    assert api.get("/v1/wallets/nobody/movements").status_code == 404


def test_a_page_takes_constant_queries(api: APIClient) -> None:
    factories.customer()
    factories.top_up("cust_1", "100")
    api.get("/v1/wallets/cust_1/movements")

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            api.get("/v1/wallets/cust_1/movements")
        return len(captured)

    before = queries()
    for n in range(20):
        factories.debit("cust_1", "1", f"k{n}")

    assert queries() == before


def test_each_movement_has_its_wallets_balance_whatever_moved_it() -> None:
    """10 are granted and 20 bought; 12 burn of both, come back, 5 are repaid and the 10 lapse."""
    book = factories.clocked_customer()
    factories.grant("cust_1", "10", expires_at=START + timedelta(days=5))
    factories.top_up("cust_1", "20")
    debit = factories.body(factories.debit("cust_1", "12"))
    reversals.reverse(livemode=False, debit_id=UUID(str(debit["id"])), key="r", reason="test")
    refunds.refund(
        livemode=False, customer_id="cust_1", key="back", amount=Decimal(5), currency="USD",
        reason="test",
    )  # fmt: skip
    factories.advance(book, START + timedelta(days=6))

    moved = Movement.objects.order_by("entry__sequence", "position")
    assert list(moved.values_list("kind", "quantity", "wallet_balance_after")) == [
        ("GRANT", 10, 10), ("GRANT", 20, 30),
        ("BURN", 10, 20), ("BURN", 2, 18),
        ("REVERSE", 2, 20), ("REVERSE", 10, 30),
        ("REFUND", 5, 25), ("EXPIRE", 10, 15),
    ]  # fmt: skip
    assert verification.verify().ok


def test_a_list_about_several_wallets_leaves_each_its_own_balance() -> None:
    """Money and units of one customer and money of another, in one transaction and out of turn."""
    factories.metric()
    for key in ("cust_1", "cust_2"):
        factories.customer(key)
        factories.top_up(key, "20")
    factories.grant_units("cust_1", "7")

    execute_list(
        [
            engine.DebitRequest(customer_id="cust_2", key="a", amount=Decimal(1)),
            engine.DebitRequest(customer_id="cust_1", key="b", amount=Decimal(2)),
            engine.DebitRequest(
                customer_id="cust_1", key="c", metric="tokens", quantity=Decimal(3)
            ),
            engine.ReserveRequest(customer_id="cust_2", key="d", amount=Decimal(4)),
            engine.DebitRequest(customer_id="cust_1", key="e", amount=Decimal(5)),
            engine.DebitRequest(customer_id="cust_2", key="f", amount=Decimal(15)),
        ],
        livemode=False,
    )

    moved = Movement.objects.exclude(kind="GRANT").order_by("book__key", "entry__sequence")
    assert list(moved.values_list("book__key", "kind", "quantity", "wallet_balance_after")) == [
        ("cust_1", "BURN", 2, 18), ("cust_1", "BURN", 3, 4), ("cust_1", "BURN", 5, 13),
        ("cust_2", "BURN", 1, 19), ("cust_2", "HOLD", 4, 19), ("cust_2", "BURN", 15, 4),
    ]  # fmt: skip
    assert verification.verify().ok
