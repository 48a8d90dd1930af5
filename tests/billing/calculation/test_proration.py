"""Ten days of a thirty-day period are a third of its fees, bounds and quantities."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aforo.money import ZERO, exact
from aforo.periods import Period
from billing import calculation
from billing.calculation import proration
from billing.calculation.proration import PeriodShare
from pricing.terms import (
    BlockOverage,
    FlatRate,
    Graduated,
    IncludedQuota,
    Percentage,
    PerUnit,
    Terms,
    Tier,
    Volume,
)
from tests.billing.calculation.calculations import JANUARY, charge, draft, metered

THIRD = PeriodShare(Decimal(10), Decimal(30))
FIFTH = PeriodShare(Decimal(6), Decimal(30))


def D(text: str | int) -> Decimal:  # noqa: N802
    return Decimal(text)


@pytest.mark.parametrize(
    ("whole", "part"),
    [
        (FlatRate(flat_fee=D("49.50")), FlatRate(flat_fee=D("16.5"))),
        (
            PerUnit(unit_price=D("0.002"), included_quantity=D(900)),
            PerUnit(unit_price=D("0.002"), included_quantity=D(300)),
        ),
        (
            Volume(tiers=(Tier(up_to=D(300), unit_price=D(2), flat_fee=D(6)),
                          Tier(up_to=None, unit_price=D(1))), included_quantity=D(30)),
            Volume(tiers=(Tier(up_to=D(100), unit_price=D(2), flat_fee=D(2)),
                          Tier(up_to=None, unit_price=D(1))), included_quantity=D(10)),
        ),
        (
            Graduated(tiers=(Tier(up_to=D(1), unit_price=D(2)), Tier(up_to=None, unit_price=D(1)))),
            # A third of one unit: 0.333333333333, at the 12 places of the books.
            Graduated(tiers=(Tier(up_to=D("0.333333333333"), unit_price=D(2)),
                             Tier(up_to=None, unit_price=D(1)))),
        ),
        (
            IncludedQuota(included_quantity=D(9000),
                          overage=BlockOverage(block_size=D(1000), block_price=D(5))),
            IncludedQuota(included_quantity=D(3000),
                          overage=BlockOverage(block_size=D(1000), block_price=D(5))),
        ),
        (
            Percentage(percent=D("2.5"), fixed_fee_per_event=D("0.3"), minimum_fee=D(6),
                       maximum_fee=D(90)),
            Percentage(percent=D("2.5"), fixed_fee_per_event=D("0.3"), minimum_fee=D(2),
                       maximum_fee=D(30)),
        ),
    ],
    ids=lambda terms: type(terms).__name__,
)  # fmt: skip
def test_time_scales_fees_bounds_and_inclusions_but_no_unit_price(
    whole: Terms, part: Terms
) -> None:
    assert proration.terms(whole, THIRD) == part
    assert proration.terms(whole, PeriodShare(D(30), D(30))) == whole


def test_a_share_counts_time_to_the_microsecond() -> None:
    full = Period(JANUARY.starts_at, JANUARY.starts_at + timedelta(days=30))
    part = Period(full.starts_at, full.starts_at + timedelta(days=6))
    instant = Period(full.starts_at, full.starts_at + timedelta(microseconds=1))

    assert proration.share_of(part, full).of(D(100)) == 20
    # 1 of 2,592,000,000,000 microseconds.
    assert proration.share_of(instant, full).of(D(2592)) == D("0.000000001")


@pytest.mark.parametrize(
    ("new", "largest", "share", "places", "added"),
    [
        ("20000", "10000", THIRD, 0, "3333"),
        ("20000", "20000", THIRD, 0, "0"),
        ("10000", "20000", THIRD, 0, "0"),
        ("100", "0", THIRD, 2, "33.33"),
        ("2.5", "1", FIFTH, 1, "0.3"),
        ("30000", "0", THIRD, 0, "10000"),
    ],
)
def test_a_move_grants_what_is_added_for_the_time_that_is_left(
    new: str, largest: str, share: PeriodShare, places: int, added: str
) -> None:
    assert proration.stub_grant(
        new=D(new), largest=D(largest), remaining=share, places=places
    ) == D(added)


def test_a_fifth_of_a_cycle_owes_a_fifth() -> None:
    # 100 fee -> 20; 400 tokens less a fifth of 500 at .002 -> 0.60; minimum 150 -> 30: 9.40 more.
    whole = draft(
        charges=(
            charge(FlatRate(flat_fee=D(100)), code="fee", feeds={}),
            charge(PerUnit(unit_price=D("0.002"), included_quantity=D(500))),
        ),
        usage=metered("400"),
        minimum_spend=D(150),
        maximum_spend=D(1000),
        served=FIFTH.served,
        of_full=FIFTH.of_full,
    )

    run = calculation.run(proration.prorate(whole))

    assert [(line.kind, line.amount) for line in run.lines] == [
        ("FEE", 20),
        ("USAGE", D("0.6")),
        ("COMMIT", D("9.4")),
    ]
    assert (run.total, run.maximum_spend) == (30, 200)


def test_a_full_cycle_stays_as_it_is() -> None:
    whole = draft(charges=(charge(),), minimum_spend=D(150), served=D(3), of_full=D(3))

    assert proration.prorate(whole) == whole


@given(
    fee=st.decimals(0, 1_000_000, places=2),
    served=st.integers(1, 2_678_400),
    full=st.integers(1, 2_678_400),
)
def test_two_parts_are_the_whole_to_the_last_place_of_the_books(
    fee: Decimal, served: int, full: int
) -> None:
    first, of_full = Decimal(min(served, full)), Decimal(max(served, full))
    parts = [PeriodShare(first, of_full).of(fee), PeriodShare(of_full - first, of_full).of(fee)]

    assert abs(exact(sum)(parts, ZERO) - fee) <= D("0.000000000001")


def test_the_order_of_a_part_and_its_price_does_not_matter() -> None:
    """Half the tokens in half the time cost half of what all of them cost, in every tier."""
    tiers = (Tier(up_to=D(1000), unit_price=D("0.01"), flat_fee=D(4)),
             Tier(up_to=None, unit_price=D("0.008")))  # fmt: skip
    half = PeriodShare(D(1), D(2))
    for terms in (Graduated(tiers=tiers), Volume(tiers=tiers)):
        whole = calculation.run(draft(charges=(charge(terms),), usage=metered("1500")))
        part = draft(charges=(charge(terms),), usage=metered("750"))
        part = replace(part, served=half.served, of_full=half.of_full)

        assert calculation.run(proration.prorate(part)).total == half.of(whole.total)
