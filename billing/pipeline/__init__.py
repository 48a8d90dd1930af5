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


def without_minimum(draft: Draft) -> Draft:
    """Leave the minimum spend out: it falls due at a cycle's end, not on the way there."""
    return replace(draft, minimum_spend=None)
