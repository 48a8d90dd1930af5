"""`/v1/pricing/preview`: what the calculators say of a quantity."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.access.models import ApiScope
from aforo.api.fields import DecimalField, StrictSerializer
from aforo.api.views import ApiView
from aforo.errors import FieldError, Invalid
from aforo.money import ZERO
from pricing import calculators
from pricing.api.plans import ChargeBody
from pricing.models import PriceModel
from pricing.terms import parse


class PreviewBody(StrictSerializer):
    charge = ChargeBody()
    quantity = DecimalField(required=False)
    events = serializers.IntegerField(min_value=0, max_value=10**14, required=False)
    value = DecimalField(required=False)


class StepAnswer(serializers.Serializer[Any]):
    label = serializers.CharField()  # type: ignore[assignment]
    quantity = serializers.CharField()
    unit_price = serializers.CharField(allow_null=True)
    amount = serializers.CharField()


class PreviewAnswer(serializers.Serializer[Any]):
    amount = serializers.CharField()
    steps = StepAnswer(many=True)


class PricingPreviewView(ApiView):
    scope = ApiScope.CATALOG
    names = {"post": "previewPrice"}
    refusals = ("charge_out_of_range",)

    @extend_schema(request=PreviewBody, responses=PreviewAnswer)
    def post(self, request: Request) -> Response:
        """Price a quantity by a charge, exact and unrounded, step by step."""
        body = self.read(PreviewBody, request)
        charge = body["charge"]
        try:
            terms = parse(charge["model"], charge["terms"])
        except Invalid as error:
            moved = [
                FieldError(f"/charge/terms{e.pointer}", e.code, e.detail) for e in error.errors
            ]
            raise Invalid(moved) from error
        is_share = charge["model"] == PriceModel.PERCENTAGE
        quantity = body.get("value", body.get("quantity")) if is_share else body.get("quantity")
        if quantity is None and charge["model"] == PriceModel.FLAT_RATE:
            quantity = ZERO
        if quantity is None:
            name = "value" if is_share else "quantity"
            raise Invalid([FieldError(f"/{name}", "required", f"Give the {name}.")])
        priced = calculators.preview(
            terms, calculators.Usage(quantity, body.get("events", 1 if is_share else 0))
        )
        return Response(
            {
                "amount": priced.amount,
                "steps": [
                    {
                        "label": step.label,
                        "quantity": step.quantity,
                        "unit_price": step.unit_price,
                        "amount": step.amount,
                    }
                    for step in priced.steps
                ],
            }
        )
