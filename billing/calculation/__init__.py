"""The ten-stage settlement. `STAGES` is the table of contents: nine pure stages; `load` reads
before them, and the tenth, `settle`, writes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from aforo import money
from billing.calculation import guards
from billing.calculation.calculation import Calculation
from billing.calculation.stages.aggregate import aggregate
from billing.calculation.stages.allowance import allowance
from billing.calculation.stages.commit import commit
from billing.calculation.stages.discount import discount
from billing.calculation.stages.quota_check import quota_check
from billing.calculation.stages.rate import rate
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
    """Run the pure stages in order, exactly, checking after each what must hold.

    The bill, the preview and the tests all come from here. Raises: InvariantBroken.
    """
    for stage in STAGES:
        draft = stage(draft)
        guards.check(draft)
    return draft


def to_date(draft: Calculation) -> Calculation:
    """Leave only what metered usage owes on the way to a cycle's end.

    Fees, the minimum spend and the overage of debits fall due at the end; a charge that nothing
    was metered for has nothing to pay yet.
    """
    metered = tuple(
        charge
        for charge in draft.charges
        if any(draft.usage[code].events for code, _ in charge.feeds if code in draft.usage)
        and not isinstance(charge.terms, FlatRate)
    )
    return replace(without_minimum(draft), charges=metered, overages=())


def without_minimum(draft: Calculation) -> Calculation:
    """Leave the minimum spend out: it falls due at a cycle's end, not on the way there."""
    return replace(draft, minimum_spend=None)
