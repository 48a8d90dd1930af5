"""An exact charge and the steps that explain it.

Always holds: the steps sum to the charge, and a step with a unit price is quantity x unit price.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from aforo.errors import InvariantBroken
from aforo.money import ZERO, plain
from pricing.terms import Tier


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used: for PERCENTAGE charges `quantity` is the value that the percent is of.

    `events` is the number of events behind it; only PERCENTAGE prices them.
    """

    quantity: Decimal
    events: int

    def __post_init__(self) -> None:
        if not self.quantity.is_finite() or self.quantity < 0 or self.events < 0:
            raise InvariantBroken(f"usage is never negative: {self.quantity}, {self.events} events")


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the explanation; `unit_price` is None where nothing is priced by the unit."""

    label: str
    quantity: Decimal
    unit_price: Decimal | None
    amount: Decimal


@dataclass(frozen=True, slots=True)
class ExactCharge:
    """What usage costs: exact and unrounded."""

    amount: Decimal
    steps: tuple[Step, ...]


def priced(label: str, quantity: Decimal, unit_price: Decimal) -> Step:
    return Step(label, quantity, unit_price, quantity * unit_price)


def total(steps: Iterable[Step]) -> ExactCharge:
    """Sum steps to a charge; a step over no quantity explains nothing and is left out."""
    kept = tuple(step for step in steps if step.quantity)
    return ExactCharge(sum((step.amount for step in kept), ZERO), kept)


def tier_steps(tiers: Sequence[Tier], index: int, quantity: Decimal) -> list[Step]:
    """Price units that fall in one tier, with its flat fee if there are any."""
    tier = tiers[index]
    if not quantity:
        return []
    name = f"Tier {index + 1}"
    steps = [priced(f"{name}{_bounds(tiers, index)}", quantity, tier.unit_price)]
    if tier.flat_fee:
        steps.append(priced(f"{name}, flat fee", Decimal(1), tier.flat_fee))
    return steps


def _bounds(tiers: Sequence[Tier], index: int) -> str:
    lower = tiers[index - 1].up_to if index else None
    upper = tiers[index].up_to
    text = "" if lower is None else f", over {plain(lower)}"
    return text if upper is None else f"{text}, up to {plain(upper)}"
