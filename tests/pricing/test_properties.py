"""What holds for every price list and every quantity, not only for the worked examples."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import accumulate, pairwise

from hypothesis import given
from hypothesis import strategies as st

from aforo.money import ZERO, exact
from pricing import calculators, terms
from pricing.calculators import ExactCharge, Usage
from pricing.terms import (
    BlockOverage,
    FlatRate,
    Graduated,
    IncludedQuota,
    Percentage,
    PerUnit,
    Terms,
    Tier,
    UnitOverage,
    Volume,
)


def decimals(least: str, most: str, places: int) -> st.SearchStrategy[Decimal]:
    return st.decimals(Decimal(least), Decimal(most), places=places)


# Ingest takes 14 digits before the point and 6 behind it; prices have up to 12 behind it.
QUANTITIES = st.one_of(decimals("0", "30", 1), decimals("0", "100000000000000", 6))
PRICES = st.one_of(decimals("0", "5", 2), decimals("0", "10", 12))
FEES = st.one_of(st.just(ZERO), decimals("0", "100", 2))
INCLUDED = st.one_of(st.just(ZERO), decimals("0", "40", 1))


@st.composite
def tier_lists(draw: st.DrawFn, fees: st.SearchStrategy[Decimal] = FEES) -> tuple[Tier, ...]:
    widths = draw(st.lists(decimals("0.1", "10", 1), max_size=4))
    bounds: list[Decimal | None] = [*accumulate(widths), None]
    return tuple(
        Tier(up_to=bound, unit_price=draw(PRICES), flat_fee=draw(fees)) for bound in bounds
    )


NO_FEES = tier_lists(fees=st.just(ZERO))
OVERAGES = st.one_of(
    st.builds(UnitOverage, unit_price=PRICES),
    st.builds(BlockOverage, block_size=decimals("0.1", "7", 1), block_price=PRICES),
)
INCLUDING = st.one_of(
    st.builds(PerUnit, unit_price=PRICES, included_quantity=INCLUDED),
    st.builds(Volume, tiers=tier_lists(), included_quantity=INCLUDED),
    st.builds(Graduated, tiers=tier_lists(), included_quantity=INCLUDED),
    st.builds(IncludedQuota, included_quantity=INCLUDED, overage=OVERAGES),
)
PERCENTAGES = st.builds(
    Percentage,
    percent=decimals("0.01", "100", 2),
    fixed_fee_per_event=FEES,
    minimum_fee=decimals("0", "10", 2),
    maximum_fee=st.one_of(st.none(), decimals("10", "100", 2)),
)
TERMS: st.SearchStrategy[Terms] = st.one_of(
    INCLUDING, PERCENTAGES, st.builds(FlatRate, flat_fee=FEES)
)
USAGES = st.builds(Usage, quantity=QUANTITIES, events=st.integers(0, 10**9))


def amount(of: Terms, quantity: Decimal) -> Decimal:
    return calculators.charge(of, Usage(quantity=quantity, events=1)).amount


@exact
def summed(result: ExactCharge) -> Decimal:
    return sum((step.amount for step in result.steps), ZERO)


@exact
def plus(first: Decimal, second: Decimal) -> Decimal:
    return first + second


@given(of=TERMS, used=USAGES)
def test_steps_sum_to_the_charge(of: Terms, used: Usage) -> None:
    for result in (calculators.charge(of, used), calculators.preview(of, used)):
        assert summed(result) == result.amount
        assert result.amount >= 0


@given(of=TERMS, used=USAGES)
def test_a_step_with_a_unit_price_is_quantity_times_price(of: Terms, used: Usage) -> None:
    times = exact(Decimal.__mul__)

    for step in calculators.preview(of, used).steps:
        if step.unit_price is not None:
            assert times(step.quantity, step.unit_price) == step.amount


@given(of=TERMS, used=USAGES)
def test_the_included_quantity_is_subtracted_once(of: Terms, used: Usage) -> None:
    included = terms.included_quantity(of)
    billable = max(ZERO, plus(used.quantity, -included))

    previewed = calculators.preview(of, used)

    assert previewed.amount == calculators.charge(of, replace(used, quantity=billable)).amount
    assert calculators.allowance(of, used.quantity) == min(included, used.quantity)


@given(of=INCLUDING, used=USAGES)
def test_a_charge_knows_nothing_of_the_included_quantity(
    of: PerUnit | Volume | Graduated | IncludedQuota, used: Usage
) -> None:
    without = replace(of, included_quantity=ZERO)

    assert calculators.charge(of, used) == calculators.charge(without, used)


@given(of=TERMS)
def test_terms_survive_being_written_and_read(of: Terms) -> None:
    assert terms.parse(terms.model_of(of), terms.to_json(of)) == of


@given(tiers=tier_lists(), first=QUANTITIES, more=QUANTITIES)
def test_graduated_never_falls(tiers: tuple[Tier, ...], first: Decimal, more: Decimal) -> None:
    of = Graduated(tiers=tiers)

    assert amount(of, first) <= amount(of, plus(first, more))


@given(tiers=NO_FEES, first=QUANTITIES, more=decimals("0", "1", 6))
def test_graduated_is_continuous(tiers: tuple[Tier, ...], first: Decimal, more: Decimal) -> None:
    """A little more usage costs at most that little at the highest price: there are no jumps."""
    of = Graduated(tiers=tiers)
    highest = max(tier.unit_price for tier in tiers)

    rise = plus(amount(of, plus(first, more)), -amount(of, first))

    assert ZERO <= rise <= more * highest


@given(tiers=NO_FEES, data=st.data())
def test_graduated_is_continuous_at_every_bound(
    tiers: tuple[Tier, ...], data: st.DataObject
) -> None:
    """On a bound the tier below and the tier above agree, whatever their prices are."""
    of = Graduated(tiers=tiers)
    little = Decimal("0.000001")

    for below, above in pairwise(tiers):
        assert below.up_to is not None
        on_it = amount(of, below.up_to)

        assert plus(on_it, -amount(of, below.up_to - little)) == little * below.unit_price
        over = data.draw(st.sampled_from([little, Decimal("0.1")]))
        assert plus(amount(of, below.up_to + over), -on_it) == over * above.unit_price


@exact
def from_there_on(tiers: tuple[Tier, ...], used: Decimal) -> tuple[Tier, ...]:
    """Return the price list that the next unit meets when `used` is already charged.

    Tiers that are used up are gone, the others end `used` sooner, and the fee of the one that is
    in use has been paid. It is written apart from the calculator, to be held against it.
    """
    left: list[Tier] = []
    lower = ZERO
    for tier in tiers:
        if tier.up_to is None or tier.up_to > used:
            entered = used > lower
            left.append(
                replace(
                    tier,
                    up_to=None if tier.up_to is None else tier.up_to - used,
                    flat_fee=ZERO if entered else tier.flat_fee,
                )
            )
        lower = tier.up_to if tier.up_to is not None else lower
    return tuple(left)


@given(tiers=tier_lists(), pieces=st.lists(QUANTITIES, max_size=5))
def test_splitting_never_changes_a_graduated_total_when_priced_marginally(
    tiers: tuple[Tier, ...], pieces: list[Decimal]
) -> None:
    used, paid = ZERO, ZERO
    for piece in pieces:
        marginal = amount(Graduated(tiers=from_there_on(tiers, used)), piece)
        used, paid = plus(used, piece), plus(paid, marginal)

    assert amount(Graduated(tiers=tiers), used) == paid


@given(tiers=NO_FEES, quantity=QUANTITIES)
def test_volume_equals_per_unit_inside_one_tier(tiers: tuple[Tier, ...], quantity: Decimal) -> None:
    lower = ZERO
    for tier in tiers:
        if quantity >= lower and (tier.up_to is None or quantity <= tier.up_to):
            break
        lower = tier.up_to or lower

    assert amount(Volume(tiers=tiers), quantity) == amount(
        PerUnit(unit_price=tier.unit_price), quantity
    )


@given(price=PRICES, quantity=QUANTITIES)
def test_one_open_tier_is_per_unit(price: Decimal, quantity: Decimal) -> None:
    tiers = (Tier(up_to=None, unit_price=price),)

    one_price = amount(PerUnit(unit_price=price), quantity)

    assert amount(Graduated(tiers=tiers), quantity) == one_price
    assert amount(Volume(tiers=tiers), quantity) == one_price


@given(size=decimals("0.1", "7", 1), over=QUANTITIES)
def test_started_blocks_hold_the_quantity_and_not_one_block_more(
    size: Decimal, over: Decimal
) -> None:
    overage = BlockOverage(block_size=size, block_price=Decimal(1))

    blocks = amount(IncludedQuota(included_quantity=ZERO, overage=overage), over)

    assert exact(Decimal.__mul__)(blocks, size) >= over
    assert blocks == 0 or exact(Decimal.__mul__)(blocks - 1, size) < over


@given(of=PERCENTAGES, used=USAGES)
def test_percentage_stays_between_its_fees(of: Percentage, used: Usage) -> None:
    result = calculators.charge(of, used).amount

    assert of.minimum_fee <= result
    assert of.maximum_fee is None or result <= of.maximum_fee
