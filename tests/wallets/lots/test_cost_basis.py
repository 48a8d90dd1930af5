"""What credits carry: bundles split by stand-alone prices, released as they are used."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aforo import money
from aforo.errors import InvariantBroken
from ledger.models import BreakageRate, Policy
from tests import factories
from wallets.lots.cost_basis import PurchasePart, allocate, remaining_carrying
from wallets.models import CreditLot

HUNDRED = Decimal(100)


def rounded(parts: list[Decimal]) -> list[str]:
    return [str(money.round_amount(part, "USD")) for part in parts]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        # docs/accounting.md#m2, at effective rate.
        ([PurchasePart(HUNDRED), PurchasePart(Decimal(20))], ["83.33", "16.67"]),
        # A quarter of the bonus is expected unused: 100 and 15.
        (
            [PurchasePart(HUNDRED), PurchasePart(Decimal(20), unused_percent=Decimal(25))],
            ["86.96", "13.04"],
        ),
        # 20,000 tokens at .002 are worth 40 (docs/decisions.md#d29).
        (
            [PurchasePart(HUNDRED), PurchasePart(Decimal(20_000), Decimal("0.002"))],
            ["71.43", "28.57"],
        ),
        # Units without a price of their own carry nothing.
        ([PurchasePart(HUNDRED), PurchasePart(Decimal(20_000), Decimal(0))], ["100.00", "0.00"]),
        ([PurchasePart(Decimal(20_000), Decimal(0)), PurchasePart(HUNDRED)], ["0.00", "100.00"]),
    ],
)
def test_a_bundle_is_split_by_stand_alone_prices(
    parts: list[PurchasePart], expected: list[str]
) -> None:
    shares = allocate(HUNDRED, parts)

    assert rounded(shares) == expected
    assert sum(shares) == HUNDRED


def test_a_split_is_not_made_on_rounded_percentages() -> None:
    """2,000 split 2000:170 is 1,843.32 and 156.68, not 1,842 and 158 (docs/accounting.md#m2)."""
    shares = allocate(Decimal(2_000), [PurchasePart(Decimal(2_000)), PurchasePart(Decimal(170))])

    assert rounded(shares) == ["1843.32", "156.68"]


def test_a_sale_of_nothing_with_a_price_stops_here() -> None:
    with pytest.raises(InvariantBroken):
        allocate(HUNDRED, [PurchasePart(HUNDRED, Decimal(0))])


quantities = st.decimals(min_value=Decimal("0.000001"), max_value=10**9, places=6)
prices = st.decimals(min_value=Decimal("0.000001"), max_value=1000, places=6)
percents = st.decimals(min_value=0, max_value=100, places=4)


@given(
    paid=quantities,
    sold=st.builds(PurchasePart, face=quantities, unit_price=prices),
    more=st.lists(
        st.builds(PurchasePart, face=quantities, unit_price=prices, unused_percent=percents),
        max_size=4,
    ),
)
def test_the_shares_of_a_bundle_sum_to_what_was_paid(
    paid: Decimal, sold: PurchasePart, more: list[PurchasePart]
) -> None:
    shares = allocate(paid, [sold, *more])

    assert sum(shares) == paid
    assert all(share >= 0 for share in shares)


@given(
    carrying=quantities,
    uses=st.lists(st.integers(1, 10**9), min_size=1, max_size=20),
)
def test_releases_sum_to_the_lot_whatever_its_use(carrying: Decimal, uses: list[int]) -> None:
    """A lot: carrying = released + remaining at every step, and never below zero."""
    face = Decimal(sum(uses))
    left, held = face, carrying
    released = Decimal(0)
    for use in uses:
        left -= use
        after = remaining_carrying(carrying=carrying, face=face, remaining=left)
        assert 0 <= after <= held
        released, held = released + held - after, after
    assert (released, held) == (carrying, 0)


@pytest.mark.django_db
def test_50_burned_over_promo_10_bonus_20_and_cash_20() -> None:
    """Promo 0.00, bonus 16.67, cash 16.67; 66.66 are left for 80 cash (docs/accounting.md#m2)."""
    factories.customer()
    factories.grant("cust_1", "10")
    factories.bundle("cust_1", "100", bonus="20")

    answer = factories.body(factories.debit("cust_1", "50"))

    assert [(a["kind"], a["amount"]) for a in answer["allocations"]] == [
        ("PROMO", "10"),
        ("BONUS", "20"),
        ("CASH", "20"),
    ]
    assert rounded([-factories.posted("4010"), -factories.posted("4000")]) == ["16.67", "16.67"]
    (cash,) = CreditLot.objects.filter(kind="CASH")
    assert cash.remaining == 80
    assert rounded([cash.carrying_remaining]) == ["66.67"]
    assert -factories.posted("2100") == cash.carrying_remaining
    assert factories.posted("2110") == 0


@pytest.mark.django_db
def test_by_policy_a_bonus_that_will_lapse_carries_less() -> None:
    """With a quarter of the bonus expected unused 86.96 and 13.04 (docs/accounting.md#m2)."""
    factories.clocked_customer()
    factories.decide(Policy, bonus_allocation="RELATIVE_SSP")
    factories.decide(BreakageRate, kind="BONUS", percent=25)

    factories.bundle("cust_1", "100", bonus="20")

    assert rounded([-factories.posted("2100"), -factories.posted("2110")]) == ["86.96", "13.04"]
