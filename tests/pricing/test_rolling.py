"""Included quantity that rolls: what is used first, what ends, what a rule cuts."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.terms import Rollover, RolloverMode, rolled_generations, rolled_parts, rolled_quantity

D = Decimal
ALL = Rollover(mode=RolloverMode.ALL)
TWICE = Rollover(mode=RolloverMode.ALL, cycles=2)
HALF = Rollover(mode=RolloverMode.PERCENT, percent=D(50))
CAPPED = Rollover(mode=RolloverMode.CAPPED, minimum=D(10), maximum=D(60))


@pytest.mark.parametrize(
    ("rule", "own", "rolled", "used", "on"),
    [
        (Rollover(), 100, [], 30, []),
        (ALL, 100, [], 30, [70]),
        (ALL, 100, [70], 50, [100, 20]),
        (ALL, 100, [70], 170, []),
        (ALL, 100, [0, 5], 5, [100]),
        # What has rolled twice ends here, unused or not.
        (TWICE, 100, [40, 30], 10, [100, 40]),
        (TWICE, 100, [40, 30], 50, [100, 20]),
        (HALF, 100, [], 30, [35]),
        (HALF, 100, [40], 0, [70]),
        (CAPPED, 100, [], 91, []),
        (CAPPED, 100, [], 90, [10]),
        (CAPPED, 100, [30], 50, [60]),
        (CAPPED, 40, [30], 5, [40, 20]),
    ],
)
def test_generations(rule: Rollover, own: int, rolled: list[int], used: int, on: list[int]) -> None:
    found = rolled_generations(rule, own=D(own), rolled=[D(q) for q in rolled], used=D(used))

    assert found == on


def test_what_is_held_takes_the_room_before_what_is_free() -> None:
    rule = Rollover(mode=RolloverMode.CAPPED, maximum=D(50))

    assert rolled_parts(rule, [(D(20), D(80)), (D(40), D(0))]) == [(20, 0), (30, 0)]
    assert rolled_parts(rule, [(D(20), D(80)), (D(10), D(5))]) == [(20, 20), (10, 0)]


PARTS = st.lists(st.tuples(st.integers(0, 90).map(D), st.integers(0, 90).map(D)), max_size=5)


@given(
    parts=PARTS,
    rule=st.sampled_from([ALL, HALF, CAPPED, Rollover(mode=RolloverMode.CAPPED, maximum=D(60))]),
)
def test_parts_never_come_to_more_than_the_rule_lets_roll_of_their_sum(
    parts: list[tuple[Decimal, Decimal]], rule: Rollover
) -> None:
    rolled = rolled_parts(rule, parts)

    there = sum((held + free for held, free in parts), D(0))
    assert sum(held + free for held, free in rolled) == rolled_quantity(rule, there)
    for (held, free), (was_held, was_free) in zip(rolled, parts, strict=True):
        assert 0 <= held <= was_held
        assert 0 <= free <= was_free
    # Nothing free rolls while something held does not, and nothing old before what is younger.
    flat = [h for h, _ in rolled] + [f for _, f in rolled]
    were = [h for h, _ in parts] + [f for _, f in parts]
    cut = [n for n, (now, was) in enumerate(zip(flat, were, strict=True)) if now < was]
    assert all(flat[n] == 0 for n in range(cut[0] + 1, len(flat))) if cut else True
