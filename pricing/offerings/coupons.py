"""Coupons: created once, redeemed by subscriptions, never more often than they allow."""

from __future__ import annotations

from decimal import Decimal

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
) -> Coupon:
    """Create a coupon: a percentage, or a fixed amount of one currency.

    Raises: CodeTaken; Invalid, naming every field that does not go with the others.
    """
    check_coupon(type=type, value=value, currency=currency, duration=duration, cycles=cycles)
    try:
        with transaction.atomic():
            return Coupon.objects.create(
                livemode=livemode,
                code=code,
                type=type,
                value=value,
                currency=currency,
                duration=duration,
                cycles=cycles,
                max_redemptions=max_redemptions,
            )
    except IntegrityError as error:
        raise CodeTaken(f"There is a coupon {code} already.") from error


def check_coupon(
    *,
    type: str,  # noqa: A002
    value: Decimal,
    currency: str,
    duration: str,
    cycles: int | None,
) -> None:
    """Check the terms of a coupon against each other.

    Raises: Invalid, naming every field that does not go with the others.
    """
    rules = [
        (type == CouponType.PERCENT and value > 100, "/value", "too_large", "At most 100 percent."),
        (
            type == CouponType.FIXED and not currency,
            "/currency",
            "currency_required",
            "A fixed coupon has a currency.",
        ),
        (
            type == CouponType.PERCENT and bool(currency),
            "/currency",
            "invalid",
            "A percentage has no currency.",
        ),
        (
            (duration == CouponDuration.REPEATING) != (cycles is not None),
            "/cycles",
            "invalid",
            "Give cycles with REPEATING, and only then.",
        ),
    ]
    faults = [FieldError(*fault) for broken, *fault in rules if broken]
    if faults:
        raise Invalid(faults)


def get_coupon(*, livemode: bool, code: str) -> Coupon:
    """Find a coupon.

    Raises: UnknownCoupon.
    """
    found = Coupon.objects.filter(livemode=livemode, code=code)
    coupon = found.first() if can_exist(code) else None
    if coupon is None:
        raise UnknownCoupon(f"There is no coupon {code}.")
    return coupon


def coupon_for(*, livemode: bool, code: str, currency: str) -> Coupon:
    """Find the coupon that a request names for a plan in a currency.

    Raises: Invalid (`unknown_coupon`, `wrong_currency`).
    """
    found = Coupon.objects.filter(livemode=livemode, code=code)
    coupon = found.first() if can_exist(code) else None
    if coupon is None:
        detail = f"There is no coupon {code}."
        raise Invalid([FieldError("/coupon", "unknown_coupon", detail)])
    if coupon.currency not in {"", currency}:
        detail = f"It is for {coupon.currency}; the plan is in {currency}."
        raise Invalid([FieldError("/coupon", "wrong_currency", detail)])
    return coupon


def redeem_coupon(*, livemode: bool, code: str, currency: str) -> Coupon:
    """Redeem a coupon inside the caller's transaction, which holds its book's lock.

    A conditional update, so that concurrent redemptions never pass the maximum.
    Raises: Invalid (`unknown_coupon`, `wrong_currency`), CouponSpent.
    """
    coupon = coupon_for(livemode=livemode, code=code, currency=currency)
    unspent = Q(max_redemptions=None) | Q(redemptions__lt=F("max_redemptions"))
    redeemed = Coupon.objects.filter(unspent, pk=coupon.pk).update(redemptions=F("redemptions") + 1)
    if not redeemed:
        raise CouponSpent(f"The coupon {code} has been redeemed as often as it can be.")
    return coupon
