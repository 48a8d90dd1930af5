"""Stage 1."""

from __future__ import annotations

from aforo.money import plain
from billing.pipeline.draft import Draft, traced


def quota_check(draft: Draft) -> Draft:
    """Hold usage against the hard caps of the plan.

    Needs: caps, usage. Gives: a note for each cap that was passed; the usage beyond stays priced.
    Keeps: everything.
    """
    notes = []
    for metric, cap in sorted(draft.caps.items()):
        used = draft.usage[metric].quantity if metric in draft.usage else 0
        if used > cap:
            notes.append(f"{metric}: {plain(used - cap)} beyond the cap of {plain(cap)}, priced.")
    return traced(
        draft,
        "Quota check",
        given={metric: usage.quantity for metric, usage in sorted(draft.usage.items())},
        found=dict(draft.caps),
        notes=notes or ["No cap was passed."],
    )
