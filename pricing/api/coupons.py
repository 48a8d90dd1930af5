"""`/v1/coupons`."""

from __future__ import annotations

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.access.models import ApiScope
from aforo.api.fields import CurrencyField, DecimalField, StrictSerializer
from aforo.api.views import ApiView
from pricing.api.catalog import CatalogList, CodeField
from pricing.models import Coupon, CouponDuration, CouponType
from pricing.offerings import coupons


class CouponBody(StrictSerializer):
    code = CodeField()
    type = serializers.ChoiceField(choices=CouponType.choices)
    value = DecimalField(positive=True)
    currency = CurrencyField(required=False)
    duration = serializers.ChoiceField(choices=CouponDuration.choices)
    cycles = serializers.IntegerField(min_value=1, max_value=1_200, required=False)
    max_redemptions = serializers.IntegerField(min_value=1, max_value=2_147_483_647, required=False)


class CouponAnswer(serializers.ModelSerializer[Coupon]):
    value = DecimalField()

    class Meta:
        model = Coupon
        fields = [
            "code", "type", "value", "currency", "duration", "cycles", "max_redemptions",
            "redemptions", "created_at",
        ]  # fmt: skip


class CouponsView(CatalogList):
    scope = ApiScope.BILLING
    names = {"get": "listCoupons", "post": "createCoupon"}
    refusals = ("code_taken",)
    operation = "pricing.coupons.create"
    model = Coupon
    serializer_class = CouponAnswer
    filterset_fields = ["type", "duration"]

    @extend_schema(request=CouponBody, responses={201: CouponAnswer})
    def post(self, request: Request) -> HttpResponse:
        """Create a coupon."""
        body = self.read(CouponBody, request)
        return self.once(
            request,
            content=body,
            make=lambda: CouponAnswer(coupons.create_coupon(livemode=self.livemode, **body)).data,
        )


class CouponView(ApiView):
    scope = ApiScope.BILLING
    names = {"get": "getCoupon"}
    refusals = ("unknown_coupon",)

    @extend_schema(responses=CouponAnswer)
    def get(self, request: Request, code: str) -> Response:
        """Return a coupon and how often it was redeemed."""
        return Response(CouponAnswer(coupons.get_coupon(livemode=self.livemode, code=code)).data)
