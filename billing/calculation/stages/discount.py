"""Stage 7 takes the coupon off, and what is not billed, and uses credits owed to the customer."""

from __future__ import annotations

from decimal import Decimal

from aforo.money import ZERO, plain, round_amount, to_books
from billing.calculation.calculation import (
    CalculatedLine,
    Calculation,
    CouponTerms,
    changed,
    traced,
)
from billing.calculation.owed import forgive, use_credits


def discount(draft: Calculation) -> Calculation:
    """Subtract the coupon, never more than the subtotal; late usage of settled cycles has had the
    coupon of its own cycle. Then take off what was captured beyond the credits, and use the credits
    owed for such cycles.

    Needs: subtotal, coupon, forgiven, credits_owed. Gives: discount, a DISCOUNT line; the subtotal
    less what is forgiven and what credits take, each with a line. Keeps: 0 <= discount <= subtotal.
    """
    off = ZERO
    lines, notes = draft.lines, ["No coupon."]
    if draft.coupon is not None:
        base = draft.subtotal - draft.adjusted
        off = min(_off(draft.coupon, base), base, draft.subtotal)
        off = round_amount(off, draft.currency) if draft.is_rounded else to_books(off)
        notes = [f"Coupon {draft.coupon.code}: {plain(off)} off."]
        if off > 0:
            lines = (*lines, CalculatedLine("DISCOUNT", f"Coupon {draft.coupon.code}", -off))
    forgiven = forgive(changed(draft, discount=off, lines=lines))
    lowered = use_credits(forgiven)
    used = {"credit": lowered.credited} if lowered.credited else {}
    if lowered.forgiven:
        used["forgiven"] = lowered.forgiven
        notes.append(f"Captured beyond the credits: {plain(lowered.forgiven)} is not billed.")
    notes += [f"{line.description}: {plain(line.amount)}." for line in lowered.lines if line.credit]
    return traced(
        lowered,
        "Discount",
        given={"subtotal": draft.subtotal},
        found={"discount": off, **used},
        notes=notes,
    )


def _off(coupon: CouponTerms, subtotal: Decimal) -> Decimal:
    if coupon.percent is not None:
        return subtotal * coupon.percent.scaleb(-2)
    return coupon.amount or ZERO
