"""`verify_ledger` finds what a counter, a reservation or an entry says otherwise than it was."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.db import connection

from billing.finance import verification
from tests import factories
from tests.wallets.budgets.spending import SEARCH, capture, counted, debit, reserve
from wallets.budgets import budgets

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def spent() -> None:
    """7 used and 4 held of one budget, and as much of another per user."""
    factories.clocked_customer()
    factories.top_up("cust_1", "1000")
    debit("100")
    factories.budget("b", "100", window="DAY")
    factories.budget("u", "100", per="user", match={"user": "*"})
    attributes = {**SEARCH, "user": "ann"}
    debit("5", attributes)
    debit("50", {"user": "bob"})
    debit("50", {"team": "ads"}, currency="USD")
    capture(reserve("2", attributes))
    reserve("4", attributes)


def test_what_was_counted_is_proved() -> None:
    assert counted("b") == [("57", "4")]
    assert counted("u", "ann") == [("7", "4")]
    assert verification.verify().ok


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE wallets_budgetcounter SET used = used + 1 WHERE value = 'ann'", "8 used"),
        ("UPDATE wallets_budgetcounter SET held = held - 1 WHERE value = 'ann'", "3 held"),
        (
            "UPDATE wallets_reservation SET counted = NULL WHERE counted IS NOT NULL",
            "reservations hold 0",
        ),
    ],
)
def test_what_was_changed_behind_it_is_found(statement: str, reason: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)

    found = verification.verify()

    assert found.first_bad is not None
    assert reason in found.first_bad.reason.replace(".000000000000", "")


def test_an_entry_that_counted_too_little_is_found() -> None:
    with connection.cursor() as cursor:
        cursor.execute('UPDATE wallets_budget SET match = \'{"team": "*", "user": "*"}\'')
        cursor.execute("UPDATE wallets_budget SET match = '{\"user\": \"*\"}' WHERE code = 'b'")

    found = verification.verify().first_bad

    assert found is not None
    assert "counted 0 in the budget b" in found.reason.replace(".000000000000", "")


def test_a_budget_that_rested_is_proved_by_what_it_counted() -> None:
    for active in (False, True):
        budgets.change_budget(
            livemode=False, customer_id="cust_1", code="b", changes={"active": active}
        )
        debit("3")
    budgets.change_budget(
        livemode=False, customer_id="cust_1", code="u", changes={"limit": Decimal(1)}
    )

    assert counted("b") == [("60", "4")]
    assert verification.verify().ok
