"""What captures left that nobody pays, in a customer's statement; by hand."""

from __future__ import annotations

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from tests import factories
from tests.wallets import actions
from tests.wallets.actions import capture, held
from wallets.models import Wallet

pytestmark = pytest.mark.django_db


def test_the_statement_says_what_nobody_pays(api: APIClient) -> None:
    """13.90 of 43.90, then 2 of 12: 15.90 now, 13.90 between the two, nothing before; a debt is
    paid, and is no part of it.
    """
    book = factories.customer()
    factories.top_up("cust_1", "30")
    actions.rules(book, debt_limit=5)
    Wallet.objects.update(own_debt_limit=5)
    other = factories.customer("cust_2")
    factories.top_up("cust_2", "1")
    before = timezone.now()
    factories.body(capture(held("10", over_capture="AVAILABLE"), "43.90"))
    between = timezone.now()
    factories.top_up("cust_1", "10")
    factories.body(capture(held("10", over_capture="AVAILABLE"), "12"))
    factories.top_up("cust_1", "20")
    factories.body(capture(held("20", over_capture="DEBT"), "25"))

    def uncovered(customer: str = "cust_1", **asked: str) -> object:
        return api.get(f"/v1/wallets/{customer}", asked).json()["uncovered"]

    assert uncovered() == {"USD": "15.9"}
    assert uncovered(as_of=before.isoformat()) == {}
    assert uncovered(as_of=between.isoformat()) == {"USD": "13.9"}
    assert uncovered(as_of=timezone.now().isoformat()) == {"USD": "15.9"}
    assert uncovered(other.key) == {}
