"""A small quarter that can be checked by hand.

January: ann buys 100 with 20 bonus (83.333333333333 and 16.666666666667) and is given 10 promo;
she spends 50: promo 10, bonus 20, cash 20. bob buys 40 to the 20th and is given 5 of goodwill; he
spends 30: goodwill 5, cash 25; 15 lapse. February: ann spends 16, buys 30, spends 70.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from pytest_django import DjangoDbBlocker

from aforo.database.snapshot import snapshot
from aforo.sandbox.models import TestClock
from aforo.sandbox.services import create_clock
from billing.finance import reports
from billing.jobs import test_clocks
from ledger.models import Account, GlMapping
from ledger.reports.report_table import ReportScope
from tests import factories, lived
from wallets.top_ups import sales


def day(month: int, number: int) -> datetime:
    return datetime(2026, month, number, 12, tzinfo=UTC)


def buy(key: str, amount: int, name: str, **terms: Any) -> None:
    sales.top_up(
        livemode=False,
        customer_id=key,
        key=name,
        amount=Decimal(amount),
        currency="USD",
        **terms,
    )


@pytest.fixture(scope="module")
def lived_quarter(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Live through the quarter once for a file; none of its tests wants an empty database."""
    with lived.once(live_through, django_db_blocker):
        yield


@pytest.fixture
def quarter(lived_quarter: None, db: None) -> None:
    """January and February 2026 of two customers on one clock."""


def live_through() -> None:
    clock = create_clock(livemode=False, now=day(1, 2))
    factories.customer("ann", clock=clock)
    factories.customer("bob", clock=clock)
    buy("ann", 100, "a1", bonus=sales.Bonus(amount=Decimal(20)))
    factories.grant("ann", "10")
    buy("bob", 40, "b1", expires_at=day(1, 20))
    factories.grant("bob", "5", source="GOODWILL")
    advance(clock, day(1, 10))
    factories.debit("ann", "50")
    factories.debit("bob", "30")
    advance(clock, day(2, 5))
    factories.debit("ann", "16")
    buy("ann", 30, "a2")
    factories.debit("ann", "70")


def advance(clock: TestClock, to: datetime) -> None:
    test_clocks.advance(clock_id=clock.pk, livemode=False, to=to)


def scope(period: str = "2026-01", **terms: Any) -> ReportScope:
    return reports.scope_of(
        livemode=False, now=datetime(2026, 3, 1, tzinfo=UTC), period=period, **terms
    )


def rows(name: str, period: str = "2026-01", **terms: Any) -> list[dict[str, Any]]:
    with snapshot():
        return [dict(row) for row in reports.find(name).make(scope(period, **terms)).rows]


@pytest.fixture
def mapped(quarter: None) -> None:
    """Every account has a code in the general ledger, from 2026 on."""
    GlMapping.objects.bulk_create(
        GlMapping(
            account=account,
            starts_on=date(2026, 1, 1),
            gl_code=f"9{account.code}",
            gl_name=f"Credits:{account.name}",
        )
        for account in Account.objects.all()
    )
