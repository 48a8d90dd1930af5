"""The price lists that the pricing tests share, and the shortest way to charge them."""

from __future__ import annotations

from decimal import Decimal

from pricing import calculators
from pricing.calculators import ExactCharge, Usage
from pricing.terms import Terms, Tier


def tier(up_to: str | None, unit_price: str, flat_fee: str = "0") -> Tier:
    return Tier(
        up_to=None if up_to is None else Decimal(up_to),
        unit_price=Decimal(unit_price),
        flat_fee=Decimal(flat_fee),
    )


# The tiers of the worked example: 1,000 at .010, 10,000 at .008, the rest at .005.
PLAIN_TIERS = (tier("1000", "0.010"), tier("10000", "0.008"), tier(None, "0.005"))
# The same with a fee for entering a tier.
FEE_TIERS = (
    tier("1000", "0.010", "3"),
    tier("10000", "0.008", "7"),
    tier(None, "0.005", "20"),
)


def usage(quantity: str, events: int = 1) -> Usage:
    return Usage(quantity=Decimal(quantity), events=events)


def charge(terms: Terms, quantity: str, events: int = 1) -> ExactCharge:
    return calculators.charge(terms, usage(quantity, events))


def preview(terms: Terms, quantity: str, events: int = 1) -> ExactCharge:
    return calculators.preview(terms, usage(quantity, events))


def rows(result: ExactCharge) -> list[tuple[str, str, str | None, str]]:
    """Write steps as text, as a person would check them."""
    return [
        (
            step.label,
            format(step.quantity, "f"),
            None if step.unit_price is None else format(step.unit_price, "f"),
            format(step.amount, "f"),
        )
        for step in result.steps
    ]
