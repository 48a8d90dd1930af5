"""Rounding outward, and what can be paid."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aforo import money, payable
from aforo.errors import Invalid

CURRENCIES = st.sampled_from(["JPY", "USD", "KWD"])
VALUES = st.decimals(min_value=-(10**6), max_value=10**6, places=12)


@pytest.mark.parametrize(
    ("value", "currency", "rounded"),
    [
        ("149.625", "USD", "149.63"),
        ("-149.625", "USD", "-149.63"),
        ("0.005", "USD", "0.01"),
        ("0.004999999999", "USD", "0"),
        ("2.675", "EUR", "2.68"),
        ("0.5", "JPY", "1"),
        ("-2.5", "JPY", "-3"),
        ("1.0005", "KWD", "1.001"),
        ("1.0004", "KWD", "1"),
    ],
)
def test_outward_a_half_goes_away_from_zero(value: str, currency: str, rounded: str) -> None:
    assert money.round_amount(Decimal(value), currency) == Decimal(rounded)


def test_inside_a_half_goes_to_the_even_neighbour() -> None:
    assert money.to_books(Decimal("0.0000000000005")) == 0
    assert money.to_books(Decimal("0.0000000000015")) == Decimal("0.000000000002")


@given(value=VALUES, currency=CURRENCIES)
def test_a_rounded_amount_can_be_paid_and_mirrors(value: Decimal, currency: str) -> None:
    rounded = money.round_amount(value, currency)

    assert money.is_payable(rounded, currency)
    assert money.round_amount(-value, currency) == -rounded
    assert abs(rounded - value) * 2 <= Decimal(1).scaleb(-money.exponent(currency))


@pytest.mark.parametrize(
    ("value", "currency"), [("100.5", "JPY"), ("0.001", "USD"), ("10.0005", "KWD")]
)
def test_what_cannot_be_paid_is_refused_where_it_arrives(value: str, currency: str) -> None:
    with pytest.raises(Invalid) as refused:
        payable.check(Decimal(value), currency, pointer="/amount")

    assert refused.value.code == "not_payable"


@pytest.mark.parametrize(
    ("value", "currency"), [("100", "JPY"), ("0.01", "USD"), ("100.50", "USD"), ("10.005", "KWD")]
)
def test_what_can_be_paid_is_not(value: str, currency: str) -> None:
    payable.check(Decimal(value), currency, pointer="/amount")
