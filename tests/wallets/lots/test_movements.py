"""Every change of a customer's credits can be read back, newest first."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from tests import factories

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
