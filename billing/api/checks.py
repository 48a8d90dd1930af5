"""`/v1/wallets/check`, `/v1/quota/check`: what would be covered, without doing it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.access.models import ApiScope
from aforo.api.views import ApiView
from billing.api.usage.realtime import UsageAllocationAnswer, UsageBody, UsageQuantityField
from billing.realtime import usage_checks
from billing.realtime.usage_requests import UsageRequest
from wallets.api.debits import DebitBody
from wallets.api.shapes import CustomerIdField, OfferAnswer, SkippedAnswer
from wallets.debits.engine import DebitRequest

# What a body of usage never has.
OF_DEBITS = {"amount", "currency", "strategy"}


class RefusedByAnswer(serializers.Serializer[Any]):
    """What refuses, by name: one of state, limit, cap or budget, with its figures."""

    code = serializers.CharField()
    detail = serializers.CharField()
    state = serializers.CharField(required=False)
    limit = serializers.CharField(required=False)
    cap = serializers.CharField(required=False)
    budget = serializers.CharField(required=False)
    value = serializers.CharField(required=False, allow_null=True)
    used = serializers.CharField(required=False)
    held = serializers.CharField(required=False)
    max_per_call = serializers.CharField(required=False)
    resets_at = serializers.DateTimeField(required=False, allow_null=True)


class CheckAnswer(serializers.Serializer[Any]):
    customer_id = serializers.CharField()
    covered = serializers.BooleanField()
    allocations = UsageAllocationAnswer(many=True)
    overage = serializers.CharField()
    shortfall = serializers.CharField()
    refused_by = RefusedByAnswer(many=True)
    skipped = SkippedAnswer(many=True)
    offers = OfferAnswer(many=True)
    retry_after = serializers.IntegerField(required=False, help_text="Seconds.")
    provisional = serializers.BooleanField(
        help_text="Something is due that the request would do first: a hold that has ended pays "
        "arrears, a lot that has lapsed pays for usage of its time."
    )


class CheckView(ApiView):
    scope = ApiScope.WALLETS
    names = {"post": "checkCredits"}
    refusals = ("unknown_customer", "no_subscription", "charge_out_of_range", "too_many_values")

    @extend_schema(
        request=PolymorphicProxySerializer(
            component_name="CheckBody",
            serializers=[DebitBody, UsageBody],
            resource_type_field_name=None,
        ),
        responses=CheckAnswer,
    )
    def post(self, request: Request) -> Response:
        """Return whether a debit or usage would be covered, by what, and what would help; nothing
        is done. `metric` and `quantity` without a `strategy` are usage.
        """
        named = request.data if isinstance(request.data, Mapping) else {}
        is_debit = bool(OF_DEBITS & set(named))
        body = self.read(DebitBody if is_debit else UsageBody, request)
        body["key"] = body.pop("idempotency_key", "")
        ask = DebitRequest(**body) if is_debit else UsageRequest(**body)
        return Response(usage_checks.check(livemode=self.livemode, ask=ask))


class QuotaCheckBody(serializers.Serializer[Any]):
    customerId = CustomerIdField()  # noqa: N815
    metricName = serializers.CharField(max_length=255)  # noqa: N815
    quantity = UsageQuantityField(positive=True, default=Decimal(1))


class QuotaAnswer(serializers.Serializer[Any]):
    allowed = serializers.BooleanField()
    remaining = serializers.CharField(
        allow_null=True,
        help_text="What the metric's hard cap leaves, else its unit credits; null where it has "
        "none and money pays.",
    )
    reason = serializers.CharField(required=False)


class QuotaCheckAnswer(serializers.Serializer[Any]):
    success = serializers.BooleanField()
    data = QuotaAnswer()  # type: ignore[assignment]


class QuotaCheckView(ApiView):
    scope = ApiScope.USAGE
    names = {"post": "checkQuota"}
    refusals = ("unknown_customer", "charge_out_of_range", "too_many_values")
    is_lenient = True

    @extend_schema(request=QuotaCheckBody, responses=QuotaCheckAnswer)
    def post(self, request: Request) -> Response:
        """Return whether so much of a metric (1, unless told otherwise) may be used now."""
        body = self.read(QuotaCheckBody, request)
        found = usage_checks.quota(
            livemode=self.livemode,
            customer_id=body["customerId"],
            metric=body["metricName"],
            quantity=body["quantity"],
        )
        reason = {"reason": found.reason} if found.reason else {}
        data = {"allowed": found.is_allowed, "remaining": found.remaining, **reason}
        return Response({"success": True, "data": data})
