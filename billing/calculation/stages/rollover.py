"""Stage 2 determines the included quantity of each charge."""

from __future__ import annotations

from aforo.money import ZERO, plain, proportion
from billing.calculation.calculation import Calculation, changed, traced
from pricing.terms import included_quantity


def rollover(draft: Calculation) -> Calculation:
    """Set the included quantity of each charge: its own by time, and what rolled in.

    Needs: charges, served, of_full, included_for, rolled_in. Gives: quotas per charge. Keeps:
    everything else.
    """
    quotas = {}
    included_for = draft.served if draft.included_for is None else draft.included_for
    for charge in draft.charges:
        own = included_quantity(charge.terms)
        if included_for != draft.of_full:
            own = proportion(own, included_for, draft.of_full)
        quota = own + draft.rolled_in.get(charge.code, ZERO)
        if quota > 0:
            quotas[charge.code] = quota
    notes = [f"{code}: {plain(quantity)} rolled in." for code, quantity in draft.rolled_in.items()]
    return traced(
        changed(draft, quotas=quotas),
        "Rollover",
        given=dict(draft.rolled_in),
        found=quotas,
        notes=notes or ["Nothing rolled in from the last cycle."],
    )
