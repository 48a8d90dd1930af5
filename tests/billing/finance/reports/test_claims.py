"""Everything that customers owe, by age, as it stood on a day; by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from rest_framework.test import APIClient

from billing.finance import reports
from billing.models import Settlement
from ledger.models import ProvisionMatrix
from tests import factories
from tests.billing.finance.reports.conftest import rows
from tests.billing.finance.reports.figures import by, figures
from tests.factories import FEBRUARY, START, advance
from tests.wallets import actions
from tests.wallets.actions import capture, held
from tests.wallets.top_ups import disputes
from wallets.debits import reversals
from wallets.models import Wallet

pytestmark = pytest.mark.django_db

D = Decimal


def on(month: int, day: int) -> datetime:
    return datetime(2026, month, day, tzinfo=UTC)


def found(period: str) -> dict[Any, dict[str, Decimal]]:
    return {key: figures(row) for key, row in by(rows("receivables", period), "kind").items()}


def test_an_invoice_is_unbilled_then_open_then_overdue() -> None:
    """250,000 tokens at .002 of January: 500.00, due on 3 March; 2 % set aside at 28 days."""
    book = factories.subscribed("POSTPAID")
    percents: dict[str, Any] = {
        "current": 0,
        "overdue_30": 2,
        "overdue_60": 0,
        "overdue_90": 0,
        "overdue_later": 0,
    }
    factories.decide(ProvisionMatrix, **percents)
    advance(book, on(1, 10))
    factories.meter(250_000, on(1, 5))
    advance(book, FEBRUARY)

    assert found("2026-01") == {"UNBILLED": {"unbilled": D(500)}}
    assert found("2026-02") == {"INVOICE": {"invoiced": D(500), "current": D(500)}}
    assert found("2026-03") == {
        "INVOICE": {"invoiced": D(500), "overdue_30": D(500), "allowance": D(10)}
    }
    (row,) = rows("receivables", "2026-03")
    assert (row["document"], row["since"], row["due_at"]) == ("TEST-000001", FEBRUARY, on(3, 3))


def test_arrears_are_lowered_by_the_credits_that_pay_them() -> None:
    """5,000 tokens at .002 are 10.00, 3.00 of it covered: 7.00; 5.00 paid on 20 February."""
    book = factories.subscribed("PREPAID", money="3")
    advance(book, on(1, 10))
    factories.meter(5_000, on(1, 5))
    advance(book, on(2, 20))
    factories.top_up("cust_1", "5")

    assert found("2026-01") == {"ARREARS": {"arrears": D(7), "current": D(7)}}
    assert found("2026-02") == {"ARREARS": {"arrears": D(2), "overdue_30": D(2)}}
    assert found("2026-04") == {"ARREARS": {"arrears": D(2), "overdue_90": D(2)}}
    assert rows("receivables-ageing", "2026-02") == []


def test_arrears_that_are_given_back_are_owed_no_more(api: APIClient) -> None:
    """10.00, 3.00 of it covered; of the 7.00 a correction of 20 February gives 1.50 back."""
    book = factories.subscribed("PREPAID", money="3")
    advance(book, on(1, 10))
    factories.meter(5_000, on(1, 5))
    advance(book, on(2, 20))
    settlement = Settlement.objects.get(cycle=0)
    given = api.post(
        f"/v1/settlements/{settlement.pk}/adjust",
        {
            "lines": [{"description": "Outage", "amount": "-1.5"}], "reason": "outage",
            "idempotency_key": "a",
        },
    )  # fmt: skip
    assert given.status_code == 201, given.content

    assert found("2026-01") == {"ARREARS": {"arrears": D(7), "current": D(7)}}
    assert found("2026-02") == {"ARREARS": {"arrears": D("5.5"), "overdue_30": D("5.5")}}


def test_late_usage_that_makes_the_cycle_cheaper_lowers_its_arrears() -> None:
    """900 tokens at .010 are 9.00, 4.00 of it covered; with 500 late, 1,400 at .005 are 7.00."""
    tiers = [{"up_to": "1000", "unit_price": "0.010"}, {"up_to": None, "unit_price": "0.005"}]
    charge = {"code": "calls", "model": "VOLUME", "metric": "tokens", "terms": {"tiers": tiers}}
    book = factories.subscribed("PREPAID", money="4", charges=[charge])
    factories.meter(900, START)
    advance(book, FEBRUARY)
    factories.meter(500, START + timedelta(days=1))
    advance(book, on(3, 1))

    assert found("2026-01") == {"ARREARS": {"arrears": D(5), "current": D(5)}}
    assert found("2026-02") == {"ARREARS": {"arrears": D(3), "overdue_30": D(3)}}


def test_the_claim_of_a_lost_dispute(api: APIClient) -> None:
    """60 of 100 used when the bank took 100 back on 5 January; 25 pay of it on 10 February."""
    book = factories.clocked_customer()
    advance(book, on(1, 5))
    bought = disputes.buy(api, bonus=None)
    factories.debit("cust_1", "60")
    disputes.move(api, bought, "opened")
    disputes.move(api, bought, "lost")
    advance(book, on(2, 10))
    factories.top_up("cust_1", "25")

    assert found("2026-01") == {"CLAIM": {"claims": D(60), "overdue_30": D(60)}}
    assert found("2026-02") == {"CLAIM": {"claims": D(35), "overdue_60": D(35)}}


def test_the_debt_of_a_capture_until_it_is_paid_or_forgiven() -> None:
    """43.90 of 30.00: 13.90 are owed; 4.00 are paid, 5.00 forgiven, then the rest."""
    book = factories.customer()
    factories.top_up("cust_1", "30")
    actions.rules(book, debt_limit=20)
    Wallet.objects.update(own_debt_limit=20)

    def owed() -> list[Decimal]:
        asked = reports.scope_of(livemode=False, now=timezone.now())
        with transaction.atomic():
            listed = list(reports.find("receivables").make(asked).rows)
        assert {row["kind"] for row in listed} <= {"DEBT"}
        return [row["arrears"] for row in listed]  # type: ignore[misc]

    def reverse(key: str, amount: str | None) -> None:
        given = None if amount is None else D(amount)
        factories.body(
            reversals.reverse(livemode=False, debit_id=debit, key=key, reason="r", amount=given)
        )

    debit = factories.body(capture(held("10", over_capture="DEBT"), "43.90"))["id"]
    assert owed() == [D("13.9")]
    factories.top_up("cust_1", "4")
    assert owed() == [D("9.9")]
    reverse("a", "5")
    assert owed() == [D("4.9")]
    reverse("b", None)
    assert owed() == []


def test_the_buckets_are_what_is_owed_and_unbilled_stands_apart() -> None:
    """Of two customers: 500.00 open and 7.00 of arrears; 20.00 not yet invoiced."""
    first = factories.subscribed("POSTPAID")
    factories.offering("prepaid", billing_mode="PREPAID")
    second = factories.clocked_customer("ben")
    factories.top_up("ben", "3")
    factories.subscription("ben", "prepaid")
    for book, tokens in ((first, 250_000), (second, 5_000)):
        advance(book, on(1, 10))
        factories.meter(tokens, on(1, 5), key=book.key)
    for book in (first, second):
        advance(book, on(2, 10))
    factories.meter(10_000, on(2, 5))
    advance(first, on(3, 1))

    listed = rows("receivables", "2026-02")

    def total(*names: str) -> Decimal:
        return sum((row[name] for row in listed for name in names), D(0))

    owed = total("invoiced", "arrears", "claims")
    assert owed == 507
    assert owed == total("current", "overdue_30", "overdue_60", "overdue_90", "overdue_later")
    assert total("unbilled") == 20
    assert total("invoiced") == 500
