from decimal import Decimal

import pytest

from pricing.terms import BlockOverage, IncludedQuota, UnitOverage
from tests.pricing.prices import charge, preview, rows

BY_UNIT = IncludedQuota(
    included_quantity=Decimal(10000), overage=UnitOverage(unit_price=Decimal("0.002"))
)
BY_BLOCK = IncludedQuota(
    included_quantity=Decimal(10000),
    overage=BlockOverage(block_size=Decimal(1000), block_price=Decimal(5)),
)


@pytest.mark.parametrize(
    ("_case", "quantity", "by_unit", "by_block"),
    [
        ("nothing used", "0", "0", "0"),
        ("inside the quota", "9999.5", "0", "0"),
        ("exactly the quota", "10000", "0", "0"),
        ("half a unit over starts a block", "10000.5", "0.001", "5"),
        ("one over", "10001", "0.002", "5"),
        ("exactly one block over", "11000", "2", "5"),
        ("one over the first block", "11001", "2.002", "10"),
        ("two blocks and a unit", "12001", "4.002", "15"),
        ("10^14 over", "100000000010000", "200000000000", "500000000000"),
    ],
)
def test_what_goes_over_the_quota_is_priced(
    _case: str, quantity: str, by_unit: str, by_block: str
) -> None:
    assert preview(BY_UNIT, quantity).amount == Decimal(by_unit)
    assert preview(BY_BLOCK, quantity).amount == Decimal(by_block)


@pytest.mark.parametrize(
    ("over", "amount"),
    [("0.3", "1"), ("0.9", "3"), ("0.900000000001", "4"), ("1", "4"), ("3", "10")],
)
def test_blocks_whose_quotient_never_ends_are_counted_exactly(over: str, amount: str) -> None:
    # 1 / .3 has no last digit; it starts the fourth block all the same.
    overage = BlockOverage(block_size=Decimal("0.3"), block_price=Decimal(1))
    terms = IncludedQuota(included_quantity=Decimal(0), overage=overage)

    assert charge(terms, over).amount == Decimal(amount)


def test_the_charge_does_not_take_the_quota_off_again() -> None:
    assert charge(BY_UNIT, "3000").amount == Decimal(6)
    assert charge(BY_BLOCK, "3000").amount == Decimal(15)


def test_explains_itself() -> None:
    assert rows(preview(BY_UNIT, "13000")) == [
        ("Included quantity", "10000", None, "0"),
        ("Over the included quantity", "3000", "0.002", "6.000"),
    ]
    assert rows(preview(BY_BLOCK, "12001")) == [
        ("Included quantity", "10000", None, "0"),
        ("Started blocks of 1000", "3", "5", "15"),
    ]
    assert rows(preview(BY_BLOCK, "400")) == [("Included quantity", "400", None, "0")]
