from decimal import Decimal

import pytest

from pricing.terms import Percentage
from tests.pricing.prices import charge, preview, rows

CARD_FEE = Percentage(percent=Decimal("2.9"), fixed_fee_per_event=Decimal("0.30"))
BOUNDED = Percentage(percent=Decimal("2.5"), minimum_fee=Decimal(5), maximum_fee=Decimal(100))


@pytest.mark.parametrize(
    ("_case", "value", "events", "amount"),
    [
        ("2.9 % of 200 and .30", "200", 1, "6.10"),
        ("the same value in three events", "200", 3, "6.70"),
        ("events without value", "0", 2, "0.60"),
        ("nothing at all", "0", 0, "0"),
        ("one cent: .00029 and .30", "0.01", 1, "0.30029"),
        ("10^14 in 10^6 events", "100000000000000", 1000000, "2900000300000"),
    ],
)
def test_a_share_of_the_value_and_a_fee_per_event(
    _case: str, value: str, events: int, amount: str
) -> None:
    assert charge(CARD_FEE, value, events).amount == Decimal(amount)


@pytest.mark.parametrize(
    ("_case", "value", "amount"),
    [
        ("a value of zero still owes the minimum", "0", "5"),
        ("below the minimum: 4.99975 becomes 5", "199.99", "5"),
        ("exactly the minimum", "200", "5"),
        ("one over", "201", "5.025"),
        ("exactly the maximum", "4000", "100"),
        ("above the maximum: 100.00025 becomes 100", "4000.01", "100"),
        ("10^14", "100000000000000", "100"),
    ],
)
def test_is_held_between_minimum_and_maximum(_case: str, value: str, amount: str) -> None:
    assert charge(BOUNDED, value).amount == Decimal(amount)
    assert preview(BOUNDED, value).amount == Decimal(amount)


def test_fees_per_event_count_toward_the_bounds() -> None:
    # 1 % of 100 is 1; nine events of 1 make it 10, held down to 8. Of one event: 2, held up to 3.
    terms = Percentage(
        percent=Decimal(1),
        fixed_fee_per_event=Decimal(1),
        minimum_fee=Decimal(3),
        maximum_fee=Decimal(8),
    )

    assert charge(terms, "100", 9).amount == Decimal(8)
    assert charge(terms, "100", 1).amount == Decimal(3)
    assert charge(terms, "100", 4).amount == Decimal(5)


def test_a_maximum_of_zero_is_a_bound_too() -> None:
    terms = Percentage(percent=Decimal(1), maximum_fee=Decimal(0))

    assert charge(terms, "100").amount == Decimal(0)


def test_explains_itself() -> None:
    assert rows(charge(CARD_FEE, "200", 3)) == [
        ("2.9 % of the value", "200", "0.029", "5.800"),
        ("Fixed fee per event", "3", "0.30", "0.90"),
    ]


def test_a_bound_explains_itself_by_the_difference_that_it_makes() -> None:
    assert rows(charge(BOUNDED, "100")) == [
        ("2.5 % of the value", "100", "0.025", "2.500"),
        ("Up to the minimum fee of 5", "1", None, "2.500"),
    ]
    assert rows(charge(BOUNDED, "5000")) == [
        ("2.5 % of the value", "5000", "0.025", "125.000"),
        ("Down to the maximum fee of 100", "1", None, "-25.000"),
    ]
    assert rows(charge(BOUNDED, "4000")) == [("2.5 % of the value", "4000", "0.025", "100.000")]
    assert rows(charge(BOUNDED, "0")) == [("Up to the minimum fee of 5", "1", None, "5")]
