"""Stage 7 takes the coupons off, and what is not billed, and uses credits owed to the customer."""

from __future__ import annotations

from aforo.money import ZERO, plain
from billing.calculation.calculation import CalculatedLine, Calculation, changed, traced
from billing.calculation.coupon_discounts import take_off
from billing.calculation.owed import forgive, use_credits
from billing.calculation.stages.tax import shares
from billing.calculation.tax_inside import notes as tax_notes
from billing.calculation.tax_inside import take_out


def discount(draft: Calculation) -> Calculation:
    """Subtract the coupons in their order, never more than the subtotal; late usage of settled
    cycles has had the coupons of its own cycle. Take the tax out of what is left of prices that
    contain it. Then take off what was captured beyond the credits, and use the credits owed for
    such cycles.

    Needs: subtotal, coupons, tax_inclusive, forgiven, credits_owed. Gives: discount, discounts,
    discounted, nets, a DISCOUNT line a coupon; the subtotal without the tax inside, less what is
    forgiven and what credits take, each with a line. Keeps: 0 <= discount <= subtotal.
    """
    taken, discounted = take_off(draft)
    off = sum((each.amount for each in taken), ZERO)
    notes = [f"Coupon {each.coupon.code}: {plain(each.amount)} off." for each in taken]
    notes = notes or ["No coupon."]
    net = take_out(changed(draft, discount=off, discounts=taken, discounted=discounted))
    notes += tax_notes(net)
    forgiven = forgive(changed(net, lines=(*net.lines, *_discount_lines(net))))
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
        found={"discount": lowered.discount, **used},
        notes=notes,
    )


def _discount_lines(draft: Calculation) -> list[CalculatedLine]:
    taken = [each for each in draft.discounts if each.amount > 0]
    amounts = [each.amount for each in taken]
    if draft.nets is not None:
        amounts = shares(draft, draft.discount, amounts)
    return [
        CalculatedLine("DISCOUNT", f"Coupon {each.coupon.code}", -amount)
        for each, amount in zip(taken, amounts, strict=True)
    ]
