"""The shortest way to write down what load would have read, for the tests of the stages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from aforo.periods import Period
from billing.calculation.calculation import (
    CalculatedLine,
    Calculation,
    ChargeTerms,
    Demand,
    MetricUsage,
)
from billing.calculation.stages.route import route
from pricing.terms import PerUnit, Terms, model_of
from wallets.lots.waterfall import Allocation, Lot

JANUARY = Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
TOKENS = PerUnit(unit_price=Decimal("0.002"))


def lot(kind: str, available: str, number: int = 1, *, priority: int = 100) -> Lot:
    start = JANUARY.starts_at
    return Lot(UUID(int=number), kind, Decimal(available), priority, None, start, start)


def charge(
    terms: Terms = TOKENS, *, code: str = "tokens", feeds: Mapping[str, str] | None = None
) -> ChargeTerms:
    weights = {"tokens": "1"} if feeds is None else feeds
    return ChargeTerms(
        code=code,
        model=model_of(terms),
        terms=terms,
        feeds=tuple((metric, Decimal(weight)) for metric, weight in weights.items()),
        description=code.capitalize(),
    )


def draft(mode: str = "HYBRID", **context: Any) -> Calculation:
    """Begin with no usage, no price and no credits."""
    return Calculation(**{"currency": "USD", "billing_mode": mode, "period": JANUARY, **context})


def metered(quantity: str, events: int = 1) -> dict[str, MetricUsage]:
    return {"tokens": MetricUsage(Decimal(quantity), events)}


def demand(price: ChargeTerms, *, included: str = "0", events: int = 1, **weighted: str) -> Demand:
    return Demand(
        charge=price,
        weighted={metric: Decimal(quantity) for metric, quantity in weighted.items()},
        events=events,
        included=Decimal(included),
    )


def burned(*allocations: Allocation) -> list[tuple[int, str, Decimal]]:
    """Write burns as number of the lot, kind and quantity."""
    return [(a.lot.int, a.kind, a.quantity) for a in allocations]


def routed(net: str, *lots: Lot, mode: str = "HYBRID", **context: Any) -> Calculation:
    """Route a net amount, as the stages before leave it."""
    lines = (CalculatedLine("USAGE", "Tokens", Decimal(net)),)
    return route(draft(mode, lines=lines, subtotal=Decimal(net), money_lots=lots, **context))


def paid(settled: Calculation) -> dict[str, Decimal]:
    everybody = {
        **settled.from_wallet,
        "invoice": settled.to_invoice,
        "arrears": settled.arrears,
    }
    return {name: amount for name, amount in everybody.items() if amount}


def shares(settled: Calculation) -> list[tuple[str, Decimal, Decimal, Decimal]]:
    return [(p.kind, p.gross, p.net, p.tax) for p in settled.payers]
