from decimal import Decimal

import pytest

from pricing.terms import Volume
from tests.pricing.prices import FEE_TIERS, PLAIN_TIERS, charge, preview, rows


@pytest.mark.parametrize(
    ("_case", "quantity", "amount"),
    [
        ("nothing used", "0", "0"),
        ("inside the first tier", "400", "4"),
        ("exactly on the first bound", "1000", "10"),
        ("a fraction over it: all of it is cheaper", "1000.5", "8.004"),
        ("one over it", "1001", "8.008"),
        ("exactly on the second bound", "10000", "80"),
        ("one over it", "10001", "50.005"),
        ("the design's example", "15000", "75"),
        ("10^14", "100000000000000", "500000000000"),
    ],
)
def test_the_total_decides_on_the_tier_of_every_unit(
    _case: str, quantity: str, amount: str
) -> None:
    assert charge(Volume(tiers=PLAIN_TIERS), quantity).amount == Decimal(amount)


@pytest.mark.parametrize(
    ("_case", "quantity", "amount"),
    [
        ("nothing used, no fee", "0", "0"),
        ("the smallest part of a unit owes the fee", "0.000001", "3.00000001"),
        ("on the bound: 3 + 10", "1000", "13"),
        ("one over: 7 + 8.008", "1001", "15.008"),
        ("only the last tier's fee: 20 + 75", "15000", "95"),
    ],
)
def test_only_the_fee_of_the_tier_that_is_reached_is_owed(
    _case: str, quantity: str, amount: str
) -> None:
    assert charge(Volume(tiers=FEE_TIERS), quantity).amount == Decimal(amount)


def test_explains_itself() -> None:
    assert rows(charge(Volume(tiers=FEE_TIERS), "2000")) == [
        ("Tier 2, over 1000, up to 10000", "2000", "0.008", "16.000"),
        ("Tier 2, flat fee", "1", "7", "7"),
    ]


def test_tiers_start_on_what_is_left_of_the_included_quantity() -> None:
    # 10,500 less 500 is exactly on the second bound: 10,000 x .008.
    terms = Volume(tiers=PLAIN_TIERS, included_quantity=Decimal(500))

    result = preview(terms, "10500")

    assert result.amount == Decimal(80)
    assert rows(result) == [
        ("Included quantity", "500", None, "0"),
        ("Tier 2, over 1000, up to 10000", "10000", "0.008", "80.000"),
    ]


def test_usage_inside_the_included_quantity_owes_no_flat_fee() -> None:
    terms = Volume(tiers=FEE_TIERS, included_quantity=Decimal(500))

    result = preview(terms, "500")

    assert result.amount == Decimal(0)
    assert rows(result) == [("Included quantity", "500", None, "0")]
