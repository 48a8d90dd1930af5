"""Stage 7 takes the coupons off, and what is not billed, and uses credits owed to the customer."""

from __future__ import annotations

from aforo.money import ZERO, plain
from billing.calculation.calculation import CalculatedLine, Calculation, changed, traced
from billing.calculation.coupon_discounts import take_off
from billing.calculation.owed import forgive, use_credits


def discount(draft: Calculation) -> Calculation:
    """Subtract the coupons in their order, never more than the subtotal; late usage of settled
    cycles has had the coupons of its own cycle. Then take off what was captured beyond the credits,
    and use the credits owed for such cycles.

    Needs: subtotal, coupons, forgiven, credits_owed. Gives: discount, discounts, discounted, a
    DISCOUNT line a coupon; the subtotal less what is forgiven and what credits take, each with a
    line. Keeps: 0 <= discount <= subtotal.
    """
    taken, discounted = take_off(draft)
    off = sum((each.amount for each in taken), ZERO)
    lines = tuple(
        CalculatedLine("DISCOUNT", f"Coupon {each.coupon.code}", -each.amount)
        for each in taken
        if each.amount > 0
    )
    notes = [f"Coupon {each.coupon.code}: {plain(each.amount)} off." for each in taken]
    notes = notes or ["No coupon."]
    lower = changed(
        draft,
        discount=off,
        discounts=taken,
        discounted=discounted,
        lines=(*draft.lines, *lines),
    )
    forgiven = forgive(lower)
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
