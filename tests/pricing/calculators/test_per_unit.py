from decimal import Decimal

import pytest

from pricing.terms import PerUnit
from tests.pricing.prices import charge, preview, rows


@pytest.mark.parametrize(
    ("_case", "unit_price", "quantity", "amount"),
    [
        ("the design's overage", "0.002", "3000", "6"),
        ("nothing used", "0.002", "0", "0"),
        ("a fraction of a unit", "0.05", "2.5", "0.125"),
        ("a free unit", "0", "7", "0"),
        ("one token at 2.50 per million", "0.0000025", "1", "0.0000025"),
        ("a million tokens", "0.0000025", "1000000", "2.5"),
        ("10^14 tokens", "0.0000025", "100000000000000", "250000000"),
        ("and a millionth", "0.0000025", "100000000000000.000001", "250000000.0000000000025"),
    ],
)
def test_every_unit_costs_the_same(_case: str, unit_price: str, quantity: str, amount: str) -> None:
    result = charge(PerUnit(unit_price=Decimal(unit_price)), quantity)

    assert result.amount == Decimal(amount)


def test_keeps_more_digits_than_the_default_context_of_python() -> None:
    # (10^15 + 10^-12) x (10^13 + 10^-6) = 10^28 + 10^9 + 10 + 10^-18, digit for digit.
    terms = PerUnit(unit_price=Decimal("1000000000000000.000000000001"))

    result = charge(terms, "10000000000000.000001")

    assert result.amount == Decimal("10000000000000000001000000010.000000000000000001")


def test_explains_itself() -> None:
    result = charge(PerUnit(unit_price=Decimal("0.002")), "3000")

    assert rows(result) == [("Units", "3000", "0.002", "6.000")]


def test_included_quantity_is_taken_off_by_the_preview_and_not_by_the_charge() -> None:
    terms = PerUnit(unit_price=Decimal("0.002"), included_quantity=Decimal(1000))

    assert charge(terms, "3000").amount == Decimal(6)
    assert preview(terms, "3000").amount == Decimal(4)
    assert rows(preview(terms, "3000")) == [
        ("Included quantity", "1000", None, "0"),
        ("Units", "2000", "0.002", "4.000"),
    ]
