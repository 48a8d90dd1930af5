"""Rows of several tables, and values beside them, in one statement."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from aforo.database.together import Columns, Part, select_together
from ledger.models import Book
from tests import factories
from wallets.models import CreditLot, Wallet

pytestmark = pytest.mark.django_db


def test_each_part_has_its_own_rows_in_one_statement() -> None:
    for n in (1, 2):
        factories.customer(f"cust_{n}")
        factories.top_up(f"cust_{n}", f"{n}0")
    beside = Columns(
        (("b.key", "text"), ("ARRAY[b.key, %s]", "text[]"), ("b.test_clock_id", "uuid")),
        "FROM ledger_book AS b WHERE b.key LIKE %s",
        ["asked", "cust%"],
    )

    with CaptureQueriesContext(connection) as captured:
        found = select_together(
            [
                Part(Book, "WHERE t.key = %s", ["cust_2"]),
                beside,
                Part(CreditLot, "WHERE t.face > %s", [10]),
                Part(Wallet, "WHERE t.currency = %s", ["EUR"]),
            ]
        )

    assert len(captured) == 1
    books, values, lots, wallets = found.rows
    assert [book.key for book in books] == ["cust_2"]
    assert sorted(values) == [
        ["cust_1", ["cust_1", "asked"], None],
        ["cust_2", ["cust_2", "asked"], None],
    ]
    assert [lot.face for lot in lots] == [20]
    assert lots == list(CreditLot.objects.filter(book=books[0]))
    assert wallets == []
