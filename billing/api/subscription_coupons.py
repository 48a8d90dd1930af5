"""`/v1/subscriptions/{id}/coupons`: coupons added to a subscription, and removed."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.access.models import ApiScope
from aforo.api.fields import StrictSerializer
from aforo.api.views import ApiView
from billing.api.subscriptions import SubscriptionAnswer
from billing.lifecycle import subscription_coupons


class AddCouponBody(StrictSerializer):
    coupon = serializers.CharField(max_length=64)
    reason = serializers.CharField(max_length=300, required=False, allow_blank=True)


class SubscriptionCouponsView(ApiView):
    scope = ApiScope.BILLING
    names = {"post": "addSubscriptionCoupon"}
    refusals = ("unknown_subscription", "already_cancelled", "coupon_taken", "coupon_spent")
    operation = "billing.subscriptions.coupons.add"

    @extend_schema(request=AddCouponBody, responses=SubscriptionAnswer)
    def post(self, request: Request, subscription_id: UUID) -> HttpResponse:
        """Add a coupon, taken off after those that the subscription has, from the next document of
        its open cycle on.
        """
        body = self.read(AddCouponBody, request)
        return self.once(
            request,
            content={**body, "subscription": subscription_id},
            make=lambda: (
                SubscriptionAnswer(
                    subscription_coupons.add(
                        livemode=self.livemode,
                        subscription_id=subscription_id,
                        code=body["coupon"],
                        reason=body.get("reason", ""),
                    )
                ).data
            ),
            status=200,
        )


class SubscriptionCouponView(ApiView):
    scope = ApiScope.BILLING
    names = {"delete": "removeSubscriptionCoupon"}
    refusals = ("unknown_subscription", "already_cancelled", "coupon_not_taken")

    @extend_schema(responses={200: SubscriptionAnswer})
    def delete(self, request: Request, subscription_id: UUID, code: str) -> Response:
        """Remove a coupon: documents that are settled from now on do not have it."""
        changed = subscription_coupons.remove(
            livemode=self.livemode, subscription_id=subscription_id, code=code
        )
        return Response(SubscriptionAnswer(changed).data)
