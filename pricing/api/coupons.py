"""`/v1/coupons`."""

from __future__ import annotations

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.access.models import ApiScope
from aforo.api.fields import CurrencyField, DecimalField, StrictSerializer, TimeField
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
    starts_at = TimeField(required=False, allow_null=True)
    ends_at = TimeField(required=False, allow_null=True)
    charges = serializers.ListField(
        child=serializers.CharField(max_length=64), max_length=100, required=False
    )
    carries_rest = serializers.BooleanField(required=False)


class CouponChange(StrictSerializer):
    ends_at = TimeField(required=False, allow_null=True)
    max_redemptions = serializers.IntegerField(
        min_value=1, max_value=2_147_483_647, required=False, allow_null=True
    )


class CouponAnswer(serializers.ModelSerializer[Coupon]):
    value = DecimalField()

    class Meta:
        model = Coupon
        fields = [
            "code", "type", "value", "currency", "duration", "cycles", "max_redemptions",
            "redemptions", "starts_at", "ends_at", "charges", "carries_rest", "created_at",
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
    names = {"get": "getCoupon", "patch": "updateCoupon"}
    refusals = ("unknown_coupon",)

    @extend_schema(responses=CouponAnswer)
    def get(self, request: Request, code: str) -> Response:
        """Return a coupon and how often it was redeemed."""
        return Response(CouponAnswer(coupons.get_coupon(livemode=self.livemode, code=code)).data)

    @extend_schema(request=CouponChange, responses=CouponAnswer)
    def patch(self, request: Request, code: str) -> Response:
        """Change when a coupon ends, and how often it may be redeemed."""
        body = self.read(CouponChange, request)
        changed = coupons.update_coupon(livemode=self.livemode, code=code, changes=body)
        return Response(CouponAnswer(changed).data)
