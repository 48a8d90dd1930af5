"""The coupons that a subscription takes with it, in the order given."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from aforo.errors import FieldError, Invalid
from billing.models import Subscription, SubscriptionCoupon
from pricing.models import Coupon
from pricing.offerings import coupons

MOST = 10


def redeem(
    *, livemode: bool, codes: Sequence[str], currency: str, now: datetime, pointer: str = "/coupons"
) -> list[Coupon]:
    """Redeem coupons inside the caller's transaction, which holds its book's lock; their rows are
    locked by primary key.

    Raises: Invalid (`unknown_coupon`, `wrong_currency`, `coupon_over`, `invalid`, `too_many`),
    CouponSpent.
    """
    if len(codes) > MOST:
        raise Invalid([FieldError(pointer, "too_many", f"At most {MOST} coupons.")])
    found = list[Coupon]()
    for position, code in enumerate(codes):
        at = pointer if pointer == "/coupon" else f"{pointer}/{position}"
        if code in codes[:position]:
            raise Invalid([FieldError(at, "invalid", f"{code} is named twice.")])
        found.append(
            coupons.coupon_for(livemode=livemode, code=code, currency=currency, now=now, pointer=at)
        )
    for coupon in sorted(found, key=lambda each: each.pk):
        coupons.redeem_coupon(coupon)
    return found


def attach(
    *, subscription: Subscription, taken: Sequence[Coupon], now: datetime, period: int = 0
) -> None:
    """Add coupons after those that a subscription has; they count from a paid period on. The book
    must be locked.
    """
    first = SubscriptionCoupon.objects.filter(subscription=subscription.pk).count()
    SubscriptionCoupon.objects.bulk_create(
        SubscriptionCoupon(
            subscription=subscription,
            coupon=coupon,
            position=first + number,
            from_period=period,
            added_at=now,
        )
        for number, coupon in enumerate(taken)
    )


def in_force(subscription_ids: Collection[UUID]) -> dict[UUID, list[str]]:
    """Return the codes of the coupons that subscriptions have, in their order."""
    rows = SubscriptionCoupon.objects.filter(
        subscription__in=subscription_ids, removed_at=None
    ).order_by("position")
    found: dict[UUID, list[str]] = {each: [] for each in subscription_ids}
    for subscription_id, code in rows.values_list("subscription", "coupon__code"):
        found[subscription_id].append(code)
    return found
