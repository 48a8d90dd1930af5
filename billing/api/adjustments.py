"""`/v1/settlements/{id}/adjust`."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request

from aforo.access.authentication import caller
from aforo.access.models import ApiScope
from aforo.api.fields import DecimalField, StrictSerializer
from aforo.api.idempotency import respond
from aforo.api.views import ApiView
from billing.adjustments import corrections
from wallets.api.shapes import AllocationAnswer, ApprovalAnswer


class CorrectionBody(StrictSerializer):
    description = serializers.CharField(max_length=300)
    amount = DecimalField(signed=True, help_text="Before tax; below zero gives back.")
    charge = serializers.CharField(max_length=64, required=False, allow_blank=True)


class AdjustBody(StrictSerializer):
    lines = serializers.ListField(child=CorrectionBody(), min_length=1, max_length=100)
    reason = serializers.CharField(max_length=300)
    idempotency_key = serializers.CharField(max_length=255, required=False)


class CorrectionLine(serializers.Serializer[Any]):
    description = serializers.CharField()
    amount = serializers.CharField()
    charge = serializers.CharField()


class AdjustAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    settlement = serializers.UUIDField()
    customer_id = serializers.CharField()
    currency = serializers.CharField()
    lines = CorrectionLine(many=True)
    net = serializers.CharField()
    tax = serializers.CharField()
    total = serializers.CharField()
    receivable = serializers.CharField(help_text="Invoiced, or taken off what is open of invoices.")
    customer_credit = serializers.CharField(help_text="Given back of what was paid by invoice.")
    arrears = serializers.CharField()
    wallet = serializers.CharField(help_text="Burned from, or returned to, the lots named.")
    allocations = AllocationAnswer(many=True)
    invoice = serializers.CharField(allow_null=True)
    credit_notes = serializers.ListField(
        child=serializers.CharField(), help_text="Of each invoice that it lowers."
    )
    reason = serializers.CharField()
    by = serializers.CharField()
    entry = serializers.UUIDField()
    occurred_at = serializers.DateTimeField()


class AdjustView(ApiView):
    scope = ApiScope.BILLING
    names = {"post": "adjustSettlement"}
    refusals = ("unknown_settlement", "not_settled", "invoice_in_draft")
    operation = corrections.ADJUST

    @extend_schema(request=AdjustBody, responses={201: AdjustAnswer, 202: ApprovalAnswer})
    def post(self, request: Request, settlement_id: UUID) -> HttpResponse:
        """Correct a settled cycle: lines below zero return money, above zero charge more. Amounts
        in the answer have the sign of the correction. Above a limit it waits for a second person
        (202).
        """
        key, body = self.read_keyed(AdjustBody, request)
        made = corrections.adjust_settlement(
            livemode=self.livemode,
            settlement_id=settlement_id,
            lines=[corrections.Correction(**line) for line in body["lines"]],
            reason=body["reason"],
            key=key,
            by=f"API key {caller(request).name}",
        )
        return respond(made)
