"""The books of credits in a unit, per currency paid, with a month's end between two debits."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from aforo.database.snapshot import snapshot
from billing.finance import reports, verification
from billing.finance.closing import tie_outs
from billing.invoicing import month_pages
from billing.models import FileFormat
from ledger.models import Book
from tests import factories
from tests.factories import FEBRUARY
from tests.wallets.units import example
from tests.wallets.units.example import D, buy, contest, refund, spend
from wallets import monthly_statements
from wallets.models import TopUp

pytestmark = pytest.mark.django_db

JANUARY_31, FEBRUARY_28 = date(2026, 1, 31), date(2026, 2, 28)


def rows(name: str, period: str) -> list[dict[str, Any]]:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    scope = reports.scope_of(livemode=False, now=now, period=period)
    with snapshot():
        return [dict(row) for row in reports.find(name).make(scope).rows]


@pytest.fixture
def two_months() -> Book:
    """January: both purchases, promo, 150 spent. February: 1,900 more are."""
    book = example.customer()
    spend("150")
    factories.advance(book, FEBRUARY)
    spend("1900")
    return book


def test_the_roll_forward_foots_in_each_currency_paid(two_months: Book) -> None:
    """USD: 10.00, less .50 and then 9.50. EUR: 9.00, less 8.55 in February."""
    shown = ("opening", "top_ups", "usage", "closing", "lots", "difference")

    def of(period: str) -> dict[str, list[Any]]:
        cash = (row for row in rows("contract-liability", period) if row["account"] == "2100")
        return {str(row["currency"]): [row[name] for name in shown] for row in cash}

    assert of("2026-01") == {
        "EUR": [0, 9, 0, 9, 9, 0],
        "USD": [0, 10, D("-0.5"), D("9.5"), D("9.5"), 0],
    }
    assert of("2026-02") == {
        "EUR": [9, 0, D("-8.55"), D("0.45"), D("0.45"), 0],
        "USD": [D("9.5"), 0, D("-9.5"), 0, 0, 0],
    }


def test_ageing_names_the_unit_and_carries_money(two_months: Book) -> None:
    (left,) = rows("wallet-ageing", "2026-02")

    assert (left["metric"], left["currency"]) == ("CREDITS", "EUR")
    assert (left["remaining"], left["carrying"]) == (50, D("0.45"))


def test_units_and_carrying_reconcile(two_months: Book) -> None:
    found = rows("reconciliation", "2026-01")

    assert {row["status"] for row in found} == {"agrees"}
    units = {(row["subject"], row["currency"]): row["found"] for row in found[:2]}
    assert units == {("CASH credits", "CREDITS"): 1950, ("PROMO credits", "CREDITS"): 0}
    carried = {row["currency"]: row["found"] for row in found if row["check"] == "carrying"}
    assert carried == {"EUR": 9, "USD": D("9.5")}


def test_accounts_tie_to_the_rows_after_everything_that_can_happen() -> None:
    """A refund, a lost dispute after use, and its claim paid by credits of another currency."""
    book = example.customer()
    spend("400")
    refund("500", top_up=TopUp.objects.get(currency="EUR").pk)
    dollars = str(TopUp.objects.get(currency="USD").pk)
    contest(dollars, "opened")
    contest(dollars, "lost")
    buy("10")
    factories.advance(book, FEBRUARY)

    for day in (JANUARY_31, FEBRUARY_28):
        assert [tie for tie in tie_outs.of_day(livemode=False, until=day) if not tie.holds] == []
    # 300 of the dollars' 1,000 were spent: 3.00 USD lost; the euros' 300 repaid 2.70 EUR of it.
    assert (example.posted("4940", "USD"), example.posted("4940", "EUR")) == (3, D("-2.7"))
    assert verification.verify().ok


def test_a_months_statement_counts_credits(two_months: Book) -> None:
    (january,) = monthly_statements.of_month(book=two_months, month=date(2026, 1, 1))
    (february,) = monthly_statements.of_month(book=two_months, month=date(2026, 2, 1))

    assert (january.currency, january.opening, january.closing) == ("CREDITS", 0, 1950)
    assert [line.quantity for line in january.lines] == [1000, 1000, 100, -100, -50]
    assert (february.opening, february.closing) == (1950, 50)


def test_promo_cost_is_in_credits(two_months: Book) -> None:
    (row,) = rows("promo-cost", "2026-01")

    assert (row["unit"], row["granted"], row["used"], row["outstanding"]) == (
        "CREDITS", Decimal(100), Decimal(100), Decimal(0),
    )  # fmt: skip


def test_a_months_page_writes_credits_plainly(two_months: Book) -> None:
    page = month_pages.file_of(
        livemode=False, customer_id="cust_1", period="2026-01", form=FileFormat.HTML
    )

    assert "1,950" in page.decode()
