"""Customers with settled cycles, and backtests of them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from billing.jobs import test_clocks
from billing.lifecycle import subscribing
from billing.models import Backtest, Customer
from billing.simulation import backtest
from pricing.models import RatePlanVersion
from pricing.plans import plans, version_spec
from tests import factories
from tests.factories import START

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def live_through(
    key: str, months: list[int], *, offering: str, country: str = "", cash: str = "", **terms: Any
) -> None:
    """Subscribe on 1 January, use so many tokens on the third of each month, and settle each."""
    book = factories.clocked_customer(key)
    if country:
        Customer.objects.filter(book=book).update(country=country)
    if cash:
        factories.grant_units(key, "200")
        factories.grant(key, "3", "PROMO")
        factories.top_up(key, cash)
    subscribing.subscribe(livemode=False, customer_id=key, offering=offering, **terms)
    assert book.test_clock_id is not None
    for number, tokens in enumerate(months):
        at = datetime(2026, 1 + number, 3, tzinfo=UTC)
        test_clocks.advance(clock_id=book.test_clock_id, livemode=False, to=at)
        if tokens:
            factories.meter(tokens, at, f"{key}-{number}", key=key)
        end = datetime(2026, 2 + number, 1, tzinfo=UTC)
        test_clocks.advance(clock_id=book.test_clock_id, livemode=False, to=end)


def ask(version: RatePlanVersion, **terms: Any) -> Backtest:
    asked = {"starts_at": START, "ends_at": NOW} | terms
    started = backtest.start(version=version, **asked)
    return backtest.execute(backtest_id=started.pk, clock=lambda: NOW)


def draft(**spec: Any) -> RatePlanVersion:
    """Begin a second version of the plan that is sold."""
    return plans.create_version(
        livemode=False, code="plan_tokens_monthly", spec=version_spec.VersionSpec(**spec)
    )


def per_token(price: str) -> list[dict[str, Any]]:
    return [{**factories.TOKENS_AT_2_MILLS[0], "terms": {"unit_price": price}}]


def rows(done: Backtest) -> list[tuple[str, Decimal, Decimal | None]]:
    return [(row.book.key, row.paid, row.priced) for row in backtest.cycles(done)]


def two_customers() -> RatePlanVersion:
    """Sell tokens at .002 for two months, and draft .0015 with a minimum of 5.

    big: 20 and 40, on the draft 15 and 30. small: 2 and 2, on the draft 5 and 5.
    """
    factories.offering()
    live_through("big", [10_000, 20_000], offering="tokens_monthly")
    live_through("small", [1_000, 1_000], offering="tokens_monthly")
    return draft(charges=per_token("0.0015"), minimum_spend=Decimal(5))
