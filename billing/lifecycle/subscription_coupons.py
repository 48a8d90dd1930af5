"""Coupons added to a subscription, and removed from it."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from aforo.errors import Conflict, FieldError, Invalid, NotFound
from aforo.sandbox.services import now_for
from billing.lifecycle import changes, subscribing
from billing.models import MoveKind, Subscription, SubscriptionCoupon, SubscriptionStatus
from billing.settlement import coupon_terms
from billing.subscriptions import moves, taken_coupons
from ledger.entries import books


class CouponTaken(Conflict):
    """The subscription has, or had, this coupon: it counts once.

    Create another coupon of the same terms.
    """

    default_code = "coupon_taken"


class CouponNotTaken(NotFound):
    """The subscription has no such coupon.

    Its `coupons` are in GET /v1/subscriptions/{id}.
    """

    default_code = "coupon_not_taken"


@transaction.atomic
def add(*, livemode: bool, subscription_id: UUID, code: str, reason: str = "") -> Subscription:
    """Add a coupon to a subscription, after those it has; it counts from the next document of the
    open cycle on.

    Raises: UnknownSubscription; NotInState (`already_cancelled`); CouponTaken; CouponSpent; Invalid
    (`unknown_coupon`, `wrong_currency`, `coupon_over`, `too_many`).
    """
    found = _live(livemode, subscription_id)
    now, mine = now_for(found.customer.book), SubscriptionCoupon.objects.filter(subscription=found)
    if mine.filter(coupon__code=code).exists():
        raise CouponTaken(f"The subscription has had the coupon {code}.")
    if mine.filter(removed_at=None).count() >= taken_coupons.MOST:
        raise Invalid([FieldError("/coupon", "too_many", f"At most {taken_coupons.MOST} coupons.")])
    taken = taken_coupons.redeem(
        livemode=livemode,
        codes=[code],
        currency=found.version.plan.currency,
        now=now,
        pointer="/coupon",
    )
    taken_coupons.attach(
        subscription=found, taken=taken, now=now, period=coupon_terms.next_period(found)
    )
    _name_first(found)
    _note(found, MoveKind.COUPON_ADDED, code, reason)
    return subscribing.get_subscription(livemode=livemode, subscription_id=subscription_id)


@transaction.atomic
def remove(*, livemode: bool, subscription_id: UUID, code: str, reason: str = "") -> Subscription:
    """Remove a coupon from a subscription: it counts no more from the next document of the open
    cycle on. What it took off stays, and it is not redeemed less often.

    Raises: UnknownSubscription; NotInState (`already_cancelled`); CouponNotTaken.
    """
    found = _live(livemode, subscription_id)
    mine = SubscriptionCoupon.objects.filter(
        subscription=found, coupon__code=code, removed_at=None
    ).first()
    if mine is None:
        raise CouponNotTaken(f"The subscription has no coupon {code}.")
    mine.removed_at = now_for(found.customer.book)
    mine.until_period = max(coupon_terms.next_period(found), mine.from_period)
    mine.save(update_fields=["removed_at", "until_period"])
    _name_first(found)
    _note(found, MoveKind.COUPON_REMOVED, code, reason)
    return subscribing.get_subscription(livemode=livemode, subscription_id=subscription_id)


def _live(livemode: bool, subscription_id: UUID) -> Subscription:  # noqa: FBT001
    """Return a subscription that is not cancelled, read under its book's lock."""
    found = subscribing.get_subscription(livemode=livemode, subscription_id=subscription_id)
    book = books.lock_book(book_id=found.customer_id)
    found.refresh_from_db()
    found.customer.book = book
    if found.status == SubscriptionStatus.CANCELLED:
        raise changes.NotInState("The subscription is cancelled.", code="already_cancelled")
    return found


def _note(found: Subscription, kind: MoveKind, code: str, reason: str) -> None:
    """Record who added or removed a coupon, and why."""
    book = found.customer.book
    with moves.because(reason):
        moves.note(
            book=book, subscription=found, kind=kind, at=now_for(book), facts={"coupon": code}
        )


def _name_first(found: Subscription) -> None:
    """Write the first coupon beside the subscription, where version 0.1.0 looks for it."""
    mine = SubscriptionCoupon.objects.filter(subscription=found, removed_at=None)
    first = mine.order_by("position").first()
    found.coupon_id = None if first is None else first.coupon_id
    found.save(update_fields=["coupon"])
