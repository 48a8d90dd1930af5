"""What coupons take off a document, one after the other, and what they leave of each charge. Pure.

A percentage is of what those before it have left; so the order counts: 10 % and then 5 off 100
leave 85, the other way round 85.50.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from aforo.money import ZERO, round_amount, split, to_books
from billing.calculation.calculation import Calculation, CouponDiscount, CouponTerms


def take_off(
    draft: Calculation,
) -> tuple[tuple[CouponDiscount, ...], Mapping[str, Decimal] | None]:
    """Return what each coupon takes off, rounded as the document is, and what they leave of each
    charge; late usage of settled cycles has had the coupons of its own cycle.

    Together they take no more than the subtotal, and each no more than is left of what it is for.
    """
    left = _parts(draft)
    most = min(_rounded(draft, draft.subtotal - draft.adjusted), draft.subtotal)
    found = []
    for coupon in draft.coupons:
        base = {code: part for code, part in left.items() if _is_for(coupon, code)}
        off = min(_rounded(draft, _off(coupon, max(sum(base.values(), ZERO), ZERO))), most)
        most -= off
        if off > 0:
            shares = split(off, list(base.values()))
            left |= {code: base[code] - share for code, share in zip(base, shares, strict=True)}
        found.append(CouponDiscount(coupon, off))
    is_limited = any(each.coupon.charges and each.amount for each in found)
    return tuple(found), left if is_limited else None


def _is_for(coupon: CouponTerms, code: str) -> bool:
    return not coupon.charges or code in coupon.charges


def _off(coupon: CouponTerms, base: Decimal) -> Decimal:
    if coupon.percent is not None:
        return base * coupon.percent.scaleb(-2)
    return min(coupon.amount or ZERO, base)


def _rounded(draft: Calculation, amount: Decimal) -> Decimal:
    return round_amount(amount, draft.currency) if draft.is_rounded else to_books(amount)


def _parts(draft: Calculation) -> dict[str, Decimal]:
    """Return the amount of each charge; what lines without one add is a part of its own, and what
    they take off, as the maximum spend does, is spread over what the cycle itself owes.
    """
    own = [line for line in draft.lines if line.charge and line.adjusts is None]
    parts = {line.charge: line.amount for line in own}
    rest = draft.subtotal - draft.adjusted - sum(parts.values(), ZERO)
    lowered = {line.charge: line.amount for line in own if line.amount > 0 and not line.in_advance}
    if rest < 0 and lowered:
        shares = split(rest, list(lowered.values()))
        parts |= {code: parts[code] + s for code, s in zip(lowered, shares, strict=True)}
    elif rest != 0:
        parts[""] = rest
    return parts
