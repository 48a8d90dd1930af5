"""Included quantity that rolls: what is used first, what ends, what a rule cuts."""

from __future__ import annotations

from decimal import Decimal

import pytest

from pricing.terms import Rollover, RolloverMode, rolled_generations

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
