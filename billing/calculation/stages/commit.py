"""Stage 6 applies the plan's minimum and maximum spend."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from aforo.money import ZERO, plain, round_amount, to_books
from billing.calculation.calculation import CalculatedLine, Calculation, changed, traced


def commit(draft: Calculation) -> Calculation:
    """Raise the subtotal to the plan's minimum spend, or lower it to its maximum; then round it.

    Fees of the cycle to come, and late usage of settled ones, are no part of what this cycle
    spends.

    Needs: lines, subtotal, unit_burns, considerations, minimum_spend, maximum_spend, late. Gives:
    COMMIT and ADJUSTMENT lines, the subtotal as the document shows it, and the residue of rounding
    as a line. Keeps: the lines sum to the subtotal.
    """
    lines, notes, ahead = list(draft.lines), [], draft.in_advance
    subtotal = draft.subtotal - ahead
    in_units, commitment = _paid_in_units(draft), ZERO
    if draft.minimum_spend is not None and subtotal + in_units < draft.minimum_spend:
        commitment = to_books(draft.minimum_spend - subtotal - in_units)
        lines.append(CalculatedLine("COMMIT", "Minimum spend", commitment))
        subtotal += commitment
        counted = f", of which paid units count {plain(in_units)}" if in_units else ""
        notes.append(f"Raised to the minimum spend of {plain(draft.minimum_spend)}{counted}.")
    if draft.maximum_spend is not None and subtotal > draft.maximum_spend:
        lines.append(CalculatedLine("ADJUSTMENT", "Maximum spend", draft.maximum_spend - subtotal))
        subtotal = draft.maximum_spend
        notes.append(f"Cut to the maximum spend of {plain(draft.maximum_spend)}.")
    late = _late_lines(draft)
    lines += late
    notes += [f"{line.description}: {plain(line.amount)}." for line in late]
    subtotal += ahead + sum((line.amount for line in late), ZERO)
    subtotal = round_amount(subtotal, draft.currency) if draft.is_rounded else to_books(subtotal)
    # The steps of a line stay exact; its amount is what the books can hold.
    lines = [replace(line, amount=to_books(line.amount)) for line in lines]
    rounding = subtotal - sum((line.amount for line in lines), ZERO)
    if rounding != 0:
        lines.append(CalculatedLine("ROUNDING", "Rounding", rounding))
        notes.append(f"Rounded by {plain(rounding)}.")
    return traced(
        changed(
            draft, lines=tuple(lines), subtotal=subtotal, commitment=commitment, rounding=rounding
        ),
        "Commit",
        given={"subtotal": draft.subtotal},
        found={"subtotal": subtotal},
        notes=notes or ["Within the plan's minimum and maximum."],
    )


def _late_lines(draft: Calculation) -> list[CalculatedLine]:
    return [
        CalculatedLine(
            "ADJUSTMENT", late.description, to_books(late.amount), adjusts=late.settlement
        )
        for late in draft.late
    ]


def _paid_in_units(draft: Calculation) -> Decimal:
    """Return what the burned unit lots cost: it counts toward a minimum (docs/decisions.md#d35)."""
    return sum(
        (
            draft.considerations[burn.lot].released_by(burn.quantity)
            for burns in draft.unit_burns.values()
            for burn in burns
            if burn.kind != "PROMO" and burn.lot in draft.considerations
        ),
        ZERO,
    )
