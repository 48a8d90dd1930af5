"""Stage 5: what is billable is priced by each model."""

from dataclasses import replace
from decimal import Decimal

import pytest

from billing.calculation.stages.rate import rate
from pricing.terms import (
    BlockOverage,
    FlatRate,
    Graduated,
    IncludedQuota,
    Percentage,
    PerUnit,
    Terms,
    Volume,
)
from tests.billing.calculation.calculations import TOKENS, charge, demand, draft
from tests.pricing.prices import PLAIN_TIERS

BLOCKS = IncludedQuota(
    included_quantity=Decimal(1000),
    overage=BlockOverage(block_size=Decimal(1000), block_price=Decimal(5)),
)
CARDS = Percentage(percent=Decimal("2.9"), fixed_fee_per_event=Decimal("0.30"))


@pytest.mark.parametrize(
    ("terms", "used", "amount", "kind"),
    [
        (TOKENS, "3000", "6", "USAGE"),
        (FlatRate(flat_fee=Decimal("49.90")), "0", "49.90", "FEE"),
        (Volume(tiers=PLAIN_TIERS), "15000", "75", "USAGE"),
        (Graduated(tiers=PLAIN_TIERS), "15000", "107", "USAGE"),
        (BLOCKS, "3001", "15", "USAGE"),
        (CARDS, "200", "6.70", "USAGE"),
    ],
)
def test_every_model_prices_what_is_left(terms: Terms, used: str, amount: str, kind: str) -> None:
    included = "1000" if terms is BLOCKS else "0"
    asked = demand(charge(terms), tokens=used, included=included, events=3)

    rated = rate(draft(demands=(asked,)))

    assert [(line.kind, line.amount) for line in rated.lines] == [(kind, Decimal(amount))]
    assert rated.subtotal == Decimal(amount)


def test_an_included_quantity_is_not_taken_off_twice() -> None:
    terms = PerUnit(unit_price=Decimal(1), included_quantity=Decimal(100))

    rated = rate(draft(demands=(demand(charge(terms), tokens="150", included="100"),)))

    assert rated.subtotal == 50


def test_a_line_carries_its_price_or_its_steps() -> None:
    single = demand(charge(code="single"), tokens="3000")
    tiered = demand(charge(Graduated(tiers=PLAIN_TIERS), code="tiered"), tokens="15000")
    fee = demand(charge(FlatRate(flat_fee=Decimal(9)), code="fee"), tokens="500")

    lines = rate(draft(demands=(single, tiered, fee))).lines

    assert [(line.charge, line.quantity, line.unit_price) for line in lines] == [
        ("single", 3000, Decimal("0.002")),
        ("tiered", 15000, None),
        ("fee", 1, 9),
    ]
    assert [step.amount for step in lines[1].steps] == [10, 72, 25]
    assert [line.description for line in lines] == ["Single", "Tiered", "Fee"]


def test_a_charge_over_nothing_that_costs_nothing_has_no_line() -> None:
    least = Percentage(percent=Decimal(1), minimum_fee=Decimal(5))
    unused = demand(charge(code="unused"), tokens="0")
    owed = demand(charge(least, code="owed"), tokens="0", events=0)

    rated = rate(draft(demands=(unused, owed)))

    assert [(line.charge, line.amount) for line in rated.lines] == [("owed", 5)]


def test_usage_that_is_all_paid_for_still_shows_as_a_line_of_nothing() -> None:
    asked = replace(demand(charge(), tokens="500"), from_units=Decimal(500))

    (line,) = rate(draft(demands=(asked,))).lines

    assert (line.quantity, line.amount, line.steps) == (0, 0, ())


def test_a_charge_stays_exact() -> None:
    terms = PerUnit(unit_price=Decimal("0.000000000001"))

    rated = rate(draft(demands=(demand(charge(terms), tokens="0.000001"),)))

    assert rated.subtotal == Decimal("0.000000000000000001")


def test_the_trace_shows_the_sums() -> None:
    rated = rate(draft(demands=(demand(charge(Graduated(tiers=PLAIN_TIERS)), tokens="1500"),)))

    assert rated.trace[0].found == {"tokens": "14"}
    assert rated.trace[0].notes == (
        "tokens: Tier 1, up to 1000, 1000 x 0.01 = 10",
        "tokens: Tier 2, over 1000, up to 10000, 500 x 0.008 = 4",
    )
