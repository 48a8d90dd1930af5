from decimal import Decimal

import pytest

from aforo.errors import InvariantBroken, Rejected
from pricing import calculators
from pricing.calculators import ChargeOutOfRange, Usage
from pricing.terms import FlatRate, Graduated, Percentage, PerUnit
from tests.pricing.prices import PLAIN_TIERS, charge, preview, usage


@pytest.mark.parametrize(
    ("_case", "used", "covered"),
    [
        ("nothing used", "0", "0"),
        ("less than included", "400", "400"),
        ("exactly included", "500", "500"),
        ("more than included", "500.5", "500"),
    ],
)
def test_allowance_covers_what_is_included_and_never_more_than_was_used(
    _case: str, used: str, covered: str
) -> None:
    terms = Graduated(tiers=PLAIN_TIERS, included_quantity=Decimal(500))

    assert calculators.allowance(terms, Decimal(used)) == Decimal(covered)


def test_allowance_is_nothing_where_the_model_includes_nothing() -> None:
    assert calculators.allowance(FlatRate(flat_fee=Decimal(5)), Decimal(9)) == Decimal(0)
    assert calculators.allowance(Percentage(percent=Decimal(5)), Decimal(9)) == Decimal(0)


def test_a_charge_that_could_not_be_kept_exact_is_refused_and_not_rounded() -> None:
    # 28 nines by 38 nines has 66 digits.
    terms = PerUnit(unit_price=Decimal("9999999999999999.999999999999"))

    with pytest.raises(ChargeOutOfRange) as refused:
        preview(terms, "99999999999999999999999999.999999999999")

    assert isinstance(refused.value, Rejected)
    assert refused.value.code == "charge_out_of_range"


def test_usage_beyond_50_digits_is_refused_before_the_allowance_is_taken_off() -> None:
    terms = PerUnit(unit_price=Decimal(1), included_quantity=Decimal(1))

    with pytest.raises(ChargeOutOfRange):
        preview(terms, "1" * 40 + "." + "1" * 26)


def test_usage_of_50_digits_is_still_exact() -> None:
    # 28 nines by 22 nines: (10^28 - 1)(10^22 - 1) = 10^50 - 10^28 - 10^22 + 1, shifted by 18.
    terms = PerUnit(unit_price=Decimal("9999999999999999.999999999999"))

    result = charge(terms, "9999999999999999.999999")

    assert result.amount == Decimal(f"{10**50 - 10**28 - 10**22 + 1}E-18")


@pytest.mark.parametrize("quantity", ["-1", "-0.000000000001", "NaN", "Infinity"])
def test_usage_is_never_negative_nor_endless(quantity: str) -> None:
    with pytest.raises(InvariantBroken):
        usage(quantity)


def test_events_are_never_negative() -> None:
    with pytest.raises(InvariantBroken):
        Usage(quantity=Decimal(1), events=-1)
