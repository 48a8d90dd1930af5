"""Stage 1 checks usage against the plan's caps."""

from __future__ import annotations

from dataclasses import replace

from aforo.money import plain
from billing.calculation.calculation import Calculation, changed, traced
from pricing.terms import Beyond


def quota_check(draft: Calculation) -> Calculation:
    """Compare usage with the hard caps of the plan.

    Needs: caps, usage. Gives: a note for each cap that was passed; usage cut to the cap where the
    plan refuses what is beyond it. Keeps: usage beyond a PRICED cap, and the count of events.
    """
    notes, kept = [], dict(draft.usage)
    for metric, cap in sorted(draft.caps.items()):
        if metric not in draft.usage or draft.usage[metric].quantity <= cap.quantity:
            continue
        used = draft.usage[metric]
        outcome = "priced"
        if cap.beyond is Beyond.REFUSED:
            kept[metric] = replace(used, quantity=cap.quantity)
            outcome = "refused: not billed"
        beyond = plain(used.quantity - cap.quantity)
        notes.append(f"{metric}: {beyond} beyond the cap of {plain(cap.quantity)}, {outcome}.")
    return traced(
        changed(draft, usage=kept),
        "Quota check",
        given={metric: usage.quantity for metric, usage in sorted(draft.usage.items())},
        found={metric: cap.quantity for metric, cap in draft.caps.items()},
        notes=notes or ["No cap was passed."],
    )
