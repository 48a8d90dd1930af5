from decimal import Decimal

import pytest

from pricing.terms import Graduated
from tests.pricing.prices import FEE_TIERS, PLAIN_TIERS, charge, preview, rows, tier


@pytest.mark.parametrize(
    ("_case", "quantity", "amount"),
    [
        ("nothing used", "0", "0"),
        ("half a unit", "0.5", "0.005"),
        ("exactly on the first bound", "1000", "10"),
        ("half a unit over it: 10 + .004", "1000.5", "10.004"),
        ("one over it: 10 + .008", "1001", "10.008"),
        ("exactly on the second bound: 10 + 9,000 x .008", "10000", "82"),
        ("one over it: 82 + .005", "10001", "82.005"),
        ("the design's example: 10 + 72 + 25", "15000", "107"),
        ("10^14: 82 + (10^14 - 10^4) x .005", "100000000000000", "500000000032"),
    ],
)
def test_each_tier_prices_its_own_units(_case: str, quantity: str, amount: str) -> None:
    assert charge(Graduated(tiers=PLAIN_TIERS), quantity).amount == Decimal(amount)


@pytest.mark.parametrize(
    ("_case", "quantity", "amount"),
    [
        ("nothing used, no fee", "0", "0"),
        ("the first tier is entered: 3 + .01", "1", "3.01"),
        ("on the bound the second is not: 3 + 10", "1000", "13"),
        ("a millionth of a unit enters it: 13 + 7 + .000000008", "1000.000001", "20.000000008"),
        ("all three: 107 + 3 + 7 + 20", "15000", "137"),
    ],
)
def test_the_fee_of_each_tier_that_a_unit_falls_in_is_owed(
    _case: str, quantity: str, amount: str
) -> None:
    assert charge(Graduated(tiers=FEE_TIERS), quantity).amount == Decimal(amount)


@pytest.mark.parametrize(
    ("quantity", "amount"),
    [
        ("0.5", "1"),  # .5 x 2
        ("0.75", "1.25"),  # 1 + .25 x 1
        ("1.25", "1.75"),  # 1 + .75 x 1
        ("2", "1.75"),  # and .75 for nothing
    ],
)
def test_bounds_may_be_fractions_and_tiers_free(quantity: str, amount: str) -> None:
    tiers = (tier("0.5", "2"), tier("1.25", "1"), tier(None, "0"))

    assert charge(Graduated(tiers=tiers), quantity).amount == Decimal(amount)


def test_prices_per_token_stay_exact() -> None:
    # 1,000,000 x .0000025 + 1 x .000001 = 2.500001.
    tiers = (tier("1000000", "0.0000025"), tier(None, "0.000001"))

    assert charge(Graduated(tiers=tiers), "1000001").amount == Decimal("2.500001")


def test_explains_itself() -> None:
    assert rows(charge(Graduated(tiers=FEE_TIERS), "15000")) == [
        ("Tier 1, up to 1000", "1000", "0.010", "10.000"),
        ("Tier 1, flat fee", "1", "3", "3"),
        ("Tier 2, over 1000, up to 10000", "9000", "0.008", "72.000"),
        ("Tier 2, flat fee", "1", "7", "7"),
        ("Tier 3, over 10000", "5000", "0.005", "25.000"),
        ("Tier 3, flat fee", "1", "20", "20"),
    ]


def test_tiers_start_on_what_is_left_of_the_included_quantity() -> None:
    # 15,500 less 500 is the design's example.
    terms = Graduated(tiers=PLAIN_TIERS, included_quantity=Decimal(500))

    result = preview(terms, "15500")

    assert result.amount == Decimal(107)
    assert rows(result)[0] == ("Included quantity", "500", None, "0")
    assert charge(terms, "15000").amount == Decimal(107)
