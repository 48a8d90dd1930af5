"""Coupons: created once, redeemed by subscriptions, never more often than they allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, Q

from aforo.errors import Conflict, FieldError, Invalid, NotFound
from pricing.models import Coupon, CouponDuration, CouponType
from pricing.plans.codes import CodeTaken, can_exist


class CouponSpent(Conflict):
    """The coupon has been redeemed as often as it may be.

    Subscribe without it, or create another coupon.
    """

    default_code = "coupon_spent"


class UnknownCoupon(NotFound):
    """No coupon of the key's mode has this code.

    Take the code from GET /v1/coupons.
    """

    default_code = "unknown_coupon"


def create_coupon(
    *,
    livemode: bool,
    code: str,
    type: str,  # noqa: A002
    value: Decimal,
    duration: str,
    currency: str = "",
    cycles: int | None = None,
    max_redemptions: int | None = None,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
    charges: Sequence[str] = (),
    carries_rest: bool = False,
) -> Coupon:
    """Create a coupon: a percentage, or a fixed amount of one currency.

    Raises: CodeTaken; Invalid, naming every field that does not go with the others.
    """
    terms = Coupon(
        livemode=livemode,
        code=code,
        type=type,
        value=value,
        currency=currency,
        duration=duration,
        cycles=cycles,
        max_redemptions=max_redemptions,
        starts_at=starts_at,
        ends_at=ends_at,
        charges=list(dict.fromkeys(charges)),
        carries_rest=carries_rest,
    )
    check_coupon(terms)
    try:
        with transaction.atomic():
            terms.save(force_insert=True)
    except IntegrityError as error:
        raise CodeTaken(f"There is a coupon {code} already.") from error
    return terms


def check_coupon(terms: Coupon) -> None:
    """Check the terms of a coupon against each other.

    Raises: Invalid, naming every field that does not go with the others.
    """
    is_percent, currency = terms.type == CouponType.PERCENT, terms.currency
    rules = [
        (is_percent and terms.value > 100, "/value", "too_large", "At most 100 percent."),
        (
            not is_percent and not currency,
            "/currency",
            "currency_required",
            "A fixed coupon has a currency.",
        ),
        (
            is_percent and bool(currency),
            "/currency",
            "invalid",
            "A percentage has no currency.",
        ),
        (
            (terms.duration == CouponDuration.REPEATING) != (terms.cycles is not None),
            "/cycles",
            "invalid",
            "Give cycles with REPEATING, and only then.",
        ),
        (
            is_percent and terms.carries_rest,
            "/carries_rest",
            "invalid",
            "Only a fixed coupon has a rest.",
        ),
        (_ends_too_early(terms), "/ends_at", "invalid", "It ends after it starts."),
    ]
    faults = [FieldError(*fault) for broken, *fault in rules if broken]
    if faults:
        raise Invalid(faults)


def _ends_too_early(terms: Coupon) -> bool:
    return terms.starts_at is not None and terms.is_over(terms.starts_at)


def get_coupon(*, livemode: bool, code: str) -> Coupon:
    """Find a coupon.

    Raises: UnknownCoupon.
    """
    found = Coupon.objects.filter(livemode=livemode, code=code)
    coupon = found.first() if can_exist(code) else None
    if coupon is None:
        raise UnknownCoupon(f"There is no coupon {code}.")
    return coupon


@transaction.atomic
def update_coupon(*, livemode: bool, code: str, changes: Mapping[str, Any]) -> Coupon:
    """Change when a coupon ends and how often it may be redeemed; its terms never change. Documents
    that are settled keep what it took off.

    Raises: UnknownCoupon, Invalid.
    """
    coupon = get_coupon(livemode=livemode, code=code)
    for name, value in changes.items():
        setattr(coupon, name, value)
    check_coupon(coupon)
    mine = Coupon.objects.filter(pk=coupon.pk)
    if coupon.max_redemptions is not None:
        mine = mine.filter(redemptions__lte=coupon.max_redemptions)
    if changes and not mine.update(**changes):
        detail = f"It has been redeemed {coupon.redemptions} times."
        raise Invalid([FieldError("/max_redemptions", "too_small", detail)])
    return coupon


def coupon_for(
    *, livemode: bool, code: str, currency: str, now: datetime, pointer: str = "/coupon"
) -> Coupon:
    """Find the coupon that a request names for a plan in a currency.

    Raises: Invalid (`unknown_coupon`, `wrong_currency`, `coupon_over`).
    """
    found = Coupon.objects.filter(livemode=livemode, code=code)
    coupon = found.first() if can_exist(code) else None
    if coupon is None:
        detail = f"There is no coupon {code}."
        raise Invalid([FieldError(pointer, "unknown_coupon", detail)])
    if coupon.currency not in {"", currency}:
        detail = f"It is for {coupon.currency}; the plan is in {currency}."
        raise Invalid([FieldError(pointer, "wrong_currency", detail)])
    if coupon.is_over(now):
        detail = f"It ended at {coupon.ends_at:%Y-%m-%d %H:%M} UTC."
        raise Invalid([FieldError(pointer, "coupon_over", detail)])
    return coupon


def redeem_coupon(coupon: Coupon) -> None:
    """Redeem a coupon inside the caller's transaction, which holds its book's lock.

    A conditional update, so that concurrent redemptions never pass the maximum.
    Raises: CouponSpent.
    """
    unspent = Q(max_redemptions=None) | Q(redemptions__lt=F("max_redemptions"))
    redeemed = Coupon.objects.filter(unspent, pk=coupon.pk).update(redemptions=F("redemptions") + 1)
    if not redeemed:
        raise CouponSpent(f"The coupon {coupon.code} has been redeemed as often as it can be.")
