"""`/v1/rate-plans/{code}/preview`: what a customer would pay."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.access.models import ApiScope
from aforo.api.fields import DecimalField, MapField, StrictSerializer
from aforo.api.views import ApiView
from billing.simulation import preview
from pricing.api.catalog import VersionField
from pricing.models import BillingMode
from pricing.plans import plans


class PlanPreviewBody(StrictSerializer):
    version = VersionField(required=False)
    usage = MapField(child=DecimalField())
    customer_id = serializers.CharField(max_length=64, required=False, allow_null=True)
    billing_mode = serializers.ChoiceField(choices=BillingMode.choices, required=False)
    coupon = serializers.CharField(max_length=64, required=False, allow_null=True)
    coupons = serializers.ListField(
        child=serializers.CharField(max_length=64), max_length=10, required=False
    )


class PlanPreviewAnswer(serializers.Serializer[Any]):
    rate_plan = serializers.DictField()
    billing_mode = serializers.CharField()
    stages = serializers.ListField(child=serializers.DictField())
    totals = serializers.DictField()
    waterfall = serializers.ListField(child=serializers.DictField())


class PlanPreviewView(ApiView):
    scope = ApiScope.CATALOG
    names = {"post": "previewRatePlan"}
    refusals = ("unknown_rate_plan", "unknown_customer", "not_published", "charge_out_of_range")

    @extend_schema(request=PlanPreviewBody, responses=PlanPreviewAnswer)
    def post(self, request: Request, code: str) -> Response:
        """Price typed-in usage by a version, draft or published: stages, totals, waterfall."""
        body = self.read(PlanPreviewBody, request)
        number = body.pop("version", None)
        version = plans.get_version(livemode=self.livemode, code=code, number=number)
        return Response(
            preview.preview(livemode=self.livemode, version=version, now=timezone.now(), **body)
        )
