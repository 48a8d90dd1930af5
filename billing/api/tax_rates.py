"""`/v1/tax-rates`."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.access.models import ApiScope
from aforo.api.fields import DecimalField, StrictSerializer, TimeField
from aforo.api.rows import RowsView
from aforo.api.views import ApiView
from billing.invoicing import tax_rates
from billing.models import TaxRate
from ledger import approvals
from ledger.models import ApprovalRequest
from wallets.api.shapes import ApprovalAnswer


class TaxRateBody(StrictSerializer):
    name = serializers.CharField(max_length=100)
    country = serializers.RegexField(r"^[A-Za-z]{2}$", max_length=2)
    region = serializers.CharField(max_length=50, required=False, allow_blank=True)
    product_class = serializers.RegexField(
        r"^[A-Za-z0-9._-]+$", max_length=40, required=False, allow_blank=True
    )
    percent = DecimalField()
    adds_to_country = serializers.BooleanField(required=False)
    reverse_charge = serializers.BooleanField(required=False, allow_null=True)
    valid_from = TimeField(required=False, allow_null=True)


class TaxRateAnswer(serializers.ModelSerializer[TaxRate]):
    percent = DecimalField()

    class Meta:
        model = TaxRate
        fields = [
            "id", "name", "country", "region", "product_class", "percent", "adds_to_country",
            "reverse_charge", "valid_from", "valid_until",
        ]  # fmt: skip


class TaxRatesView(RowsView[TaxRate]):
    scope = ApiScope.BILLING
    names = {"get": "listTaxRates", "post": "createTaxRate"}
    refusals = ("tax_rate_exists",)
    operation = tax_rates.ADD
    serializer_class = TaxRateAnswer
    filterset_fields = ["country", "region", "product_class"]

    def get_queryset(self) -> QuerySet[TaxRate]:
        """Return the rates of the key's mode."""
        return TaxRate.objects.filter(livemode=self.livemode)

    @extend_schema(request=TaxRateBody, responses={201: TaxRateAnswer, 202: ApprovalAnswer})
    def post(self, request: Request) -> HttpResponse:
        """Add a rate, in force from `valid_from`, else from now on; where the company has decided
        so, it waits for a second person (202).
        """
        body = self.read(TaxRateBody, request)
        return self.once(
            request,
            content=body,
            make=lambda: _shown(
                tax_rates.ask_for_tax_rate(livemode=self.livemode, now=timezone.now(), **body)
            ),
        )


def _shown(done: TaxRate | ApprovalRequest) -> Any:
    """Return the answer: the rate, or that it waits."""
    return TaxRateAnswer(done).data if isinstance(done, TaxRate) else approvals.answer(done)


class TaxRateView(ApiView):
    scope = ApiScope.BILLING
    names = {"get": "getTaxRate"}
    refusals = ("unknown_tax_rate",)

    @extend_schema(responses=TaxRateAnswer)
    def get(self, request: Request, rate_id: int) -> Response:
        """Return a rate."""
        found = tax_rates.get_tax_rate(livemode=self.livemode, rate_id=rate_id)
        return Response(TaxRateAnswer(found).data)


class EndTaxRateBody(StrictSerializer):
    valid_until = TimeField(required=False, allow_null=True)


class EndTaxRateView(ApiView):
    scope = ApiScope.BILLING
    names = {"post": "endTaxRate"}
    refusals = ("unknown_tax_rate", "tax_rate_ended")
    operation = tax_rates.END

    @extend_schema(request=EndTaxRateBody, responses={200: TaxRateAnswer, 202: ApprovalAnswer})
    def post(self, request: Request, rate_id: int) -> HttpResponse:
        """End a rate at `valid_until`, else now; its other fields never change."""
        body = self.read(EndTaxRateBody, request)
        return self.once(
            request,
            content={**body, "rate": rate_id},
            make=lambda: _shown(
                tax_rates.ask_for_end(
                    livemode=self.livemode, rate_id=rate_id, now=timezone.now(), **body
                )
            ),
            status=200,
        )
