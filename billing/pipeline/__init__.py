"""The ten-stage settlement. `STAGES` is the table of contents: nine pure stages; `load` reads
before them, and the tenth, `settle`, writes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from aforo import money
from billing.pipeline import guards
from billing.pipeline.aggregate import aggregate
from billing.pipeline.allowance import allowance
from billing.pipeline.commit import commit
from billing.pipeline.discount import discount
from billing.pipeline.draft import Draft
from billing.pipeline.quota_check import quota_check
from billing.pipeline.rate import rate
from billing.pipeline.rollover import rollover
from billing.pipeline.route import route
from billing.pipeline.tax import tax
from pricing.terms import FlatRate

STAGES: tuple[Callable[[Draft], Draft], ...] = (
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
def run(draft: Draft) -> Draft:
    """Run the pure stages in order, exactly, checking after each what must hold.

    The bill, the preview and the tests all come from here. Raises: InvariantBroken.
    """
    for stage in STAGES:
        draft = stage(draft)
        guards.check(draft)
    return draft


def to_date(draft: Draft) -> Draft:
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


def without_minimum(draft: Draft) -> Draft:
    """Leave the minimum spend out: it falls due at a cycle's end, not on the way there."""
    return replace(draft, minimum_spend=None)
