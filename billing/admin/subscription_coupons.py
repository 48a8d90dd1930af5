"""The coupons of a subscription, on its page."""

from __future__ import annotations

from aforo.adminui.admins import ReadOnlyInline
from billing.models import SubscriptionCoupon


class SubscriptionCouponInline(ReadOnlyInline):
    model = SubscriptionCoupon
    fields = ["position", "coupon", "from_period", "until_period", "added_at", "removed_at"]
    ordering = ["position"]
    joined = ["coupon"]
    show_change_link = False
