"""Stage 6."""

from __future__ import annotations

from dataclasses import replace

from aforo.money import plain, round_amount
from billing.pipeline.draft import Draft, Line, traced


def commit(draft: Draft) -> Draft:
    """Bring the subtotal up to the plan's minimum spend, or down to its maximum; then round it.

    Needs: lines, subtotal, minimum_spend, maximum_spend. Gives: a COMMIT or an ADJUSTMENT line, the
    subtotal as the document shows it, and the residue of rounding as a line.
    Keeps: the lines sum to the subtotal.
    """
    before = draft.subtotal
    lines, notes = list(draft.lines), []
    subtotal, commitment = before, draft.commitment
    if draft.minimum_spend is not None and subtotal < draft.minimum_spend:
        commitment = draft.minimum_spend - subtotal
        lines.append(Line("COMMIT", "Minimum spend", commitment))
        subtotal = draft.minimum_spend
        notes.append(f"Raised to the minimum spend of {plain(draft.minimum_spend)}.")
    if draft.maximum_spend is not None and subtotal > draft.maximum_spend:
        lines.append(Line("ADJUSTMENT", "Maximum spend", draft.maximum_spend - subtotal))
        subtotal = draft.maximum_spend
        notes.append(f"Cut to the maximum spend of {plain(draft.maximum_spend)}.")
    rounding = draft.rounding
    if draft.is_rounded:
        rounded = round_amount(subtotal, draft.currency)
        rounding = rounded - subtotal
        if rounding != 0:
            lines.append(Line("ROUNDING", "Rounding", rounding))
            notes.append(f"Rounded by {plain(rounding)}.")
        subtotal = rounded
    return traced(
        replace(
            draft,
            lines=tuple(lines),
            subtotal=subtotal,
            commitment=commitment,
            rounding=rounding,
        ),
        "Commit",
        given={"subtotal": before},
        found={"subtotal": subtotal},
        notes=notes or ["Within the plan's minimum and maximum."],
    )
