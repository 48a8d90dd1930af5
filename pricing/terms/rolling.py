"""How much of what remains rolls into the next cycle: limits are of the rule, over the sum of all
that it covers, never of a single part.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import assert_never

from aforo.money import ZERO, proportion
from pricing.terms.shapes import Rollover, RolloverMode


def rolled_quantity(rule: Rollover, remaining: Decimal) -> Decimal:
    """Return how much of what remains rolls on; never more than there is.

    CAPPED: below `minimum` nothing, else at most `maximum`. PERCENT of 100.5 at 50 is 50.25.
    """
    match rule.mode:
        case RolloverMode.ALL:
            return remaining
        case RolloverMode.PERCENT:
            assert rule.percent is not None, "a percent rule has its percent"
            return proportion(remaining, rule.percent, Decimal(100))
        case RolloverMode.CAPPED:
            if rule.minimum is not None and remaining < rule.minimum:
                return ZERO
            return remaining if rule.maximum is None else min(remaining, rule.maximum)
        case RolloverMode.NONE:
            return ZERO
        case _:
            assert_never(rule.mode)


def rolled_parts(
    rule: Rollover, parts: Sequence[tuple[Decimal, Decimal]]
) -> list[tuple[Decimal, Decimal]]:
    """Return how much rolls of each part, the youngest first: of what is held, and of what is free.

    The rule applies to the sum. What is held counts and rolls first, then what is free; of both the
    youngest first. At most 50 of a new 100, 20 of it held, and an old 40, all held: (20, 0) of the
    new, (30, 0) of the old.
    """
    room = rolled_quantity(rule, sum((held + free for held, free in parts), ZERO))
    rolled: list[list[Decimal]] = [[ZERO, ZERO] for _ in parts]
    for side in (0, 1):
        for number, part in enumerate(parts):
            rolled[number][side] = min(part[side], room)
            room -= rolled[number][side]
    return [(held, free) for held, free in rolled]


def rolled_generations(
    rule: Rollover, *, own: Decimal, rolled: Sequence[Decimal], used: Decimal
) -> list[Decimal]:
    """Return what the next cycle takes over, by how often it has rolled: once first.

    `own` is this cycle's quantity, `rolled` what came into it in the same order. What has rolled
    most often is used first. What has rolled as often as the rule allows ends here; the rule
    applies to the sum of the rest, and where it cuts, the oldest goes. 100 own and 30 rolled, 50
    used: 80 of the own are left; at most 60 gives [60].
    """
    left, kept = used, list[Decimal]()
    for quantity in reversed([own, *rolled]):
        taken = min(quantity, left)
        left -= taken
        kept.insert(0, quantity - taken)
    parts = rolled_parts(rule, [(ZERO, quantity) for quantity in kept[: rule.cycles]])
    generations = [free for _, free in parts]
    while generations and generations[-1] == 0:
        generations.pop()
    return generations
