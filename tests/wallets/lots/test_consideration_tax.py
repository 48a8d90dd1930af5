"""Tax in what credits pay follows what was paid for them (docs/decisions.md#d44)."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallets.lots.consideration_tax import pays_net, tax_owed, tax_within

D = Decimal
amounts = st.decimals(0, 10**9, places=12)


@pytest.mark.parametrize(
    ("gross", "percent", "tax"),
    [
        ("48", "20", "8"),
        ("120", "20", "20"),
        ("28.571428571429", "20", "4.761904761905"),
        ("119", "19", "19"),
        ("48", "0", "0"),
        ("0", "20", "0"),
    ],
)
def test_the_tax_inside_a_gross_amount(gross: str, percent: str, tax: str) -> None:
    assert tax_within(D(gross), D(percent)) == D(tax)


@pytest.mark.parametrize(
    ("tax", "face", "paid", "owed"),
    [
        ("20", "120", "100", "16.666666666667"),
        ("8", "48", "48", "8"),
        ("20", "120", "0", "0"),
        ("0", "120", "100", "0"),
        ("0", "0", "0", "0"),
    ],
)
def test_as_much_is_owed_as_was_paid_for(tax: str, face: str, paid: str, owed: str) -> None:
    assert tax_owed(D(tax), face=D(face), consideration=D(paid)) == D(owed)


@pytest.mark.parametrize(
    ("kind", "taxed", "net"),
    [
        ("PROMO", False, True),
        ("PROMO", True, True),
        ("BONUS", False, False),
        ("CASH", False, False),
        ("CASH", True, True),
    ],
)
def test_promo_and_what_was_taxed_pay_net(kind: str, taxed: bool, net: bool) -> None:
    assert pays_net(kind=kind, taxed_at_sale=taxed) is net


@given(face=st.decimals("0.01", 10**9, places=6), part=st.decimals(0, 1, places=6),
       percent=st.decimals(0, 100, places=6))  # fmt: skip
def test_the_tax_never_passes_what_was_paid(face: Decimal, part: Decimal, percent: Decimal) -> None:
    paid = face * part

    owed = tax_owed(tax_within(face, percent), face=face, consideration=paid)

    assert 0 <= owed <= paid
    assert abs(owed - tax_within(paid, percent)) <= D("1e-11")
