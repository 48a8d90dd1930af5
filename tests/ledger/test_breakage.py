"""Breakage in proportion to use: the tables of docs/accounting.md#m3, and what must always hold."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aforo import money
from ledger.controls.breakage import Cohort, accrued, earned


def cents(value: Decimal) -> Decimal:
    return money.round_amount(value, "USD")


def test_the_cohort_table() -> None:
    """10,000 sold; the estimate falls from 8 % to 5 %, and 700 lapse in the end."""
    quarters = [
        (Cohort(Decimal(10_000), Decimal(4_600)), Decimal(8)),
        (Cohort(Decimal(10_000), Decimal(6_900)), Decimal(5)),
        (Cohort(Decimal(10_000), Decimal(8_900)), Decimal(5)),
        (Cohort(Decimal(10_000), Decimal(9_300), lapsed=Decimal(700)), Decimal(5)),
    ]
    to_date = [Decimal(0), *(earned(cohort, percent=percent) for cohort, percent in quarters)]
    periods = [after - before for before, after in pairwise(to_date)]
    net = [
        cohort.sold - cohort.redeemed - done
        for (cohort, _), done in zip(quarters, to_date[1:], strict=True)
    ]

    assert [cents(value) for value in to_date[1:]] == [
        Decimal(text) for text in ("400.00", "363.16", "468.42", "700.00")
    ]
    assert [cents(value) for value in periods] == [
        Decimal(text) for text in ("400.00", "-36.84", "105.26", "231.58")
    ]
    assert [cents(value) for value in net] == [
        Decimal(text) for text in ("5000.00", "2736.84", "631.58", "0.00")
    ]


def test_one_step() -> None:
    """1,000 sold, 10 % expected unused, 540 used: 60; 400 owed net where wallets show 460."""
    cohort = Cohort(Decimal(1_000), Decimal(540))

    assert accrued(cohort, percent=Decimal(10)) == 60
    assert cohort.remaining - accrued(cohort, percent=Decimal(10)) == 400


def test_half_of_the_rights_used_earns_half_of_the_breakage() -> None:
    """Of 900 that are expected to be used, 450 are; of 100 that are not, 50 are earned."""
    assert earned(Cohort(Decimal(1_000), Decimal(450)), percent=Decimal(10)) == 50


def test_over_redemption_is_capped_at_what_can_still_break() -> None:
    """Sold 100, 10 expected unused, 95 used: at most 5, so 5 of the 10 are taken back."""
    before = earned(Cohort(Decimal(100), Decimal(90)), percent=Decimal(10))
    after = earned(Cohort(Decimal(100), Decimal(95)), percent=Decimal(10))

    assert (before, after) == (10, 5)


def test_what_a_state_will_have_is_never_earned() -> None:
    """Of 10 left, 40 % are the state's: 6 can be earned, though 10 are expected."""
    cohort = Cohort(Decimal(100), Decimal(90))

    assert accrued(cohort, percent=Decimal(10), unclaimed_percent=Decimal(40)) == 6


@pytest.mark.parametrize("percent", ["0", "5", "99"])
def test_at_the_end_every_estimate_comes_to_what_lapsed(percent: str) -> None:
    ended = Cohort(Decimal(100), Decimal(60), lapsed=Decimal(40))

    assert earned(ended, percent=Decimal(percent)) == 40
    assert accrued(ended, percent=Decimal(percent)) == 0


amounts = st.decimals(min_value=0, max_value=10**9, places=12)


@given(
    redeemed=amounts,
    lapsed=amounts,
    remaining=amounts,
    percent=st.decimals(min_value=0, max_value=99, places=6),
    unclaimed=st.decimals(min_value=0, max_value=100, places=6),
)
def test_2190_stays_between_zero_and_what_remains(
    redeemed: Decimal, lapsed: Decimal, remaining: Decimal, percent: Decimal, unclaimed: Decimal
) -> None:
    cohort = Cohort(redeemed + lapsed + remaining, redeemed, lapsed)

    stands = accrued(cohort, percent=percent, unclaimed_percent=unclaimed)

    assert 0 <= stands <= cohort.remaining
