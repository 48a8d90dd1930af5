"""A customer's month: opening and movements come to the closing, wallet by wallet."""

from __future__ import annotations

import csv
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from aforo.errors import InvariantBroken
from ledger.models import Book
from tests import factories
from tests.factories import FEBRUARY, MARCH, START, advance, meter
from wallets import monthly_statements

pytestmark = pytest.mark.django_db

PATH = "/v1/statements?customer_id=cust_1&period="


@pytest.fixture
def book() -> Book:
    """In January 10 promo until the end of the month and 20 cash; 6,000 tokens at .002 are 12.00,
    so 10 promo and 2 cash burn. In February 5 promo come, which lapse on the 11th; nothing is used.
    """
    made = factories.subscribed()
    factories.grant("cust_1", "10", "PROMO", name="january")
    factories.top_up("cust_1", "20")
    factories.grant_units("cust_1", "500", expires_at=FEBRUARY + timedelta(days=3))
    advance(made, START + timedelta(days=5))
    meter(6_500, START + timedelta(days=5))
    advance(made, FEBRUARY + timedelta(days=1))
    factories.grant(
        "cust_1", "5", "PROMO", name="february", expires_at=FEBRUARY + timedelta(days=10)
    )
    advance(made, MARCH)
    return made


def month(api: APIClient, period: str) -> dict[str, Any]:
    answer = api.get(PATH + period)
    assert answer.status_code == 200, answer.content
    return {each["currency"] or each["metric"]: each for each in answer.json()["wallets"]}


def test_january_has_what_came_and_what_was_used(api: APIClient, book: Book) -> None:
    wallets = month(api, "2026-01")

    money = wallets["USD"]
    assert (money["opening"], money["closing"]) == ("0", "18")
    assert money["sums"] == {"GRANT": "30", "BURN": "-12"}
    assert [(m["kind"], m["credit"], m["quantity"], m["balance"]) for m in money["movements"]] == [
        ("GRANT", "PROMO", "10", "10"),
        ("GRANT", "CASH", "20", "30"),
        ("BURN", "PROMO", "-10", "20"),
        ("BURN", "CASH", "-2", "18"),
    ]
    assert [m["source"] for m in money["movements"][:2]] == ["MANUAL", "TOP_UP"]
    assert money["movements"][2]["cause"] == "SETTLEMENT"
    units = wallets["tokens"]
    assert (units["opening"], units["closing"]) == ("0", "0")
    assert units["sums"] == {"GRANT": "500", "BURN": "-500"}


def test_february_goes_on_where_january_ended(api: APIClient, book: Book) -> None:
    money = month(api, "2026-02")["USD"]

    assert (money["opening"], money["closing"]) == ("18", "18")
    assert money["sums"] == {"GRANT": "5", "EXPIRE": "-5"}
    assert [m["cause"] for m in money["movements"]][1] == "EXPIRY"


def test_a_month_before_has_no_wallets(api: APIClient, book: Book) -> None:
    assert month(api, "2025-12") == {}


def test_the_file_has_the_same_from_opening_to_closing(api: APIClient, book: Book) -> None:
    answer = api.get(PATH.replace("statements", "statements.csv") + "2026-02")

    rows = list(csv.DictReader(answer.content.decode().splitlines()))
    money = [row for row in rows if row["wallet"] == "USD"]
    assert [(row["what"], Decimal(row["balance"])) for row in money] == [
        ("OPENING", 18), ("GRANT", 23), ("EXPIRE", 18), ("CLOSING", 18),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("customer_id=cust_1&period=2026-13", 422, "invalid"),
        ("customer_id=cust_1&period=0001-01", 422, "invalid"),
        ("customer_id=cust_1", 422, "required"),
        ("customer_id=nobody&period=2026-01", 404, "unknown_customer"),
    ],
)
def test_what_cannot_be_read_is_refused(
    api: APIClient, book: Book, query: str, status: int, code: str
) -> None:
    for form in ("", ".csv"):
        answer = api.get(f"/v1/statements{form}?{query}")
        assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_statement_that_does_not_add_up_is_not_shown(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two movements in the month, one is hidden from the lines, but not from the balances."""
    lines = monthly_statements._LINES.replace("ORDER BY", "AND m.kind <> 'EXPIRE' ORDER BY")
    monkeypatch.setattr(monthly_statements, "_LINES", lines)

    with pytest.raises(InvariantBroken, match="USD: 23"):
        monthly_statements.of_month(book=book, month=FEBRUARY.date())
