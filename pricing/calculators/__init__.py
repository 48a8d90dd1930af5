"""Price usage by terms: an exact charge with its steps; one file and one function per pricing
model.

Everything here is exact: nothing is rounded, and what could not be exact is refused.
"""

from __future__ import annotations

import decimal
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from functools import wraps
from typing import assert_never

from aforo.errors import Rejected
from aforo.money import ZERO, exact
from pricing.calculators import flat_rate, graduated, included_quota, per_unit, percentage, volume
from pricing.calculators.steps import ExactCharge, Step, Usage, total
from pricing.terms import (
    FlatRate,
    Graduated,
    IncludedQuota,
    Percentage,
    PerUnit,
    Terms,
    Volume,
    included_quantity,
)

__all__ = ["ChargeOutOfRange", "ExactCharge", "Step", "Usage", "allowance", "charge", "preview"]


class ChargeOutOfRange(Rejected):
    """Quantity times price has more digits than the 50 that are kept exact.

    Send a smaller quantity, or a price of fewer decimals.
    """

    default_code = "charge_out_of_range"


def _exact_or_refused(
    function: Callable[[Terms, Usage], ExactCharge],
) -> Callable[[Terms, Usage], ExactCharge]:
    exactly = exact(function)

    @wraps(function)
    def inside(terms: Terms, usage: Usage) -> ExactCharge:
        try:
            return exactly(terms, usage)
        except (decimal.Inexact, decimal.InvalidOperation) as error:
            raise ChargeOutOfRange(
                "The charge has more digits than can be kept exact; quantity or price is too large."
            ) from error

    return inside


def allowance(terms: Terms, quantity: Decimal) -> Decimal:
    """Return how much of `quantity` the included quantity covers."""
    return min(quantity, included_quantity(terms))


@_exact_or_refused
def charge(terms: Terms, usage: Usage) -> ExactCharge:
    """Price billable usage, from which the allowance has been subtracted already.

    Raises: ChargeOutOfRange.
    """
    match terms:
        case PerUnit():
            return per_unit.charge(usage.quantity, terms)
        case FlatRate():
            return flat_rate.charge(terms)
        case Volume():
            return volume.charge(usage.quantity, terms)
        case Graduated():
            return graduated.charge(usage.quantity, terms)
        case IncludedQuota():
            return included_quota.charge(usage.quantity, terms)
        case Percentage():
            return percentage.charge(usage.quantity, usage.events, terms)
        case _:
            assert_never(terms)


@_exact_or_refused
def preview(terms: Terms, usage: Usage) -> ExactCharge:
    """Price whole usage: subtract the allowance once, in a step of its own, then charge.

    Raises: ChargeOutOfRange.
    """
    covered = allowance(terms, usage.quantity)
    rest = charge(terms, replace(usage, quantity=usage.quantity - covered))
    return total([Step("Included quantity", covered, None, ZERO), *rest.steps])
