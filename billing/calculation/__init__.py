"""The ten-stage settlement. `STAGES` is the table of contents: nine pure stages; `load` reads
before them, and the tenth, `settle`, writes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from aforo import money
from aforo.money import ZERO
from billing.calculation import guards
from billing.calculation.calculation import Calculation, changed
from billing.calculation.stages.aggregate import aggregate
from billing.calculation.stages.allowance import allowance
from billing.calculation.stages.commit import commit
from billing.calculation.stages.discount import discount
from billing.calculation.stages.quota_check import quota_check
from billing.calculation.stages.rate import ADVANCE, rate
from billing.calculation.stages.rollover import rollover
from billing.calculation.stages.route import route
from billing.calculation.stages.tax import tax
from pricing.terms import FlatRate

STAGES: tuple[Callable[[Calculation], Calculation], ...] = (
    quota_check,
    rollover,
    aggregate,
    allowance,
    rate,
    commit,
    discount,
    tax,
    route,
)


@money.exact
def run(draft: Calculation) -> Calculation:
    """Run the pure stages in order, exactly, checking the invariants after each.

    Settlement, preview and tests all call it. Raises: InvariantBroken.
    """
    for stage in STAGES:
        draft = stage(draft)
        guards.check(draft)
    return draft


def to_date(draft: Calculation) -> Calculation:
    """Return the calculation with only what metered usage owes before a cycle's end.

    Fees, the minimum spend and the overage of debits fall due at the end; a charge without metered
    usage owes nothing yet.
    """
    metered = tuple(
        charge
        for charge in draft.charges
        if any(draft.usage[code].events for code, _ in charge.feeds if code in draft.usage)
        and not isinstance(charge.terms, FlatRate)
    )
    return changed(without_minimum(draft), charges=metered, overages=())


def fees_to_date(draft: Calculation, earned: Callable[[Decimal], Decimal]) -> Decimal:
    """Return how much the fees in arrears that are `earned` before a cycle's end add to what its
    metered usage owes: after the coupon and the maximum spend, before tax and credits.
    """
    fees = tuple(
        replace(charge, terms=replace(charge.terms, flat_fee=earned(charge.terms.flat_fee)))
        for charge in draft.charges
        if isinstance(charge.terms, FlatRate) and charge.timing != ADVANCE
    )
    if not fees:
        return ZERO
    usage = to_date(changed(draft, money_lots=(), kept_money=()))
    before, after = run(usage), run(changed(usage, charges=(*usage.charges, *fees)))
    return after.subtotal - after.discount - before.subtotal + before.discount


def without_minimum(draft: Calculation) -> Calculation:
    """Return the calculation without the minimum spend, which falls due at a cycle's end only."""
    return changed(draft, minimum_spend=None)
