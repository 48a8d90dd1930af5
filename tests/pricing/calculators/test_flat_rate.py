from decimal import Decimal

import pytest

from pricing.terms import FlatRate
from tests.pricing.prices import charge, preview, rows


@pytest.mark.parametrize("quantity", ["0", "0.5", "1", "100000000000000"])
def test_costs_the_same_whatever_the_quantity(quantity: str) -> None:
    terms = FlatRate(flat_fee=Decimal("49.99"))

    assert charge(terms, quantity).amount == Decimal("49.99")
    assert preview(terms, quantity).amount == Decimal("49.99")
    assert rows(charge(terms, quantity)) == [("Flat fee", "1", "49.99", "49.99")]


def test_a_fee_of_nothing_costs_nothing() -> None:
    assert charge(FlatRate(flat_fee=Decimal(0)), "5").amount == Decimal(0)
