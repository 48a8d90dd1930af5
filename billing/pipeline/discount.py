"""Stage 7."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from aforo.money import ZERO, plain, round_amount, to_books
from billing.pipeline.draft import Coupon, Draft, Line, traced


def discount(draft: Draft) -> Draft:
    """Take the coupon off, never more than the subtotal; late usage of settled cycles has had the
    coupon of its own cycle.

    Needs: subtotal, coupon. Gives: discount, a DISCOUNT line. Keeps: 0 <= discount <= subtotal.
    """
    off = ZERO
    lines, notes = draft.lines, ["No coupon."]
    if draft.coupon is not None:
        base = draft.subtotal - draft.adjusted
        off = min(_off(draft.coupon, base), base, draft.subtotal)
        off = round_amount(off, draft.currency) if draft.is_rounded else to_books(off)
        notes = [f"Coupon {draft.coupon.code}: {plain(off)} off."]
        if off > 0:
            lines = (*lines, Line("DISCOUNT", f"Coupon {draft.coupon.code}", -off))
    return traced(
        replace(draft, discount=off, lines=lines),
        "Discount",
        given={"subtotal": draft.subtotal},
        found={"discount": off},
        notes=notes,
    )


def _off(coupon: Coupon, subtotal: Decimal) -> Decimal:
    if coupon.percent is not None:
        return subtotal * coupon.percent.scaleb(-2)
    return coupon.amount or ZERO
