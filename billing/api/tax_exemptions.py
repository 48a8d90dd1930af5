"""`/v1/customers/{customer_id}/tax-exemptions`."""

from __future__ import annotations

from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request

from aforo.access.models import ApiScope
from aforo.api.fields import StrictSerializer, TimeField
from aforo.api.rows import RowsView
from aforo.api.views import ApiView
from billing.api.tax_rates import EndTaxRateBody
from billing.invoicing import tax_exemptions
from billing.models import TaxExemption


class TaxExemptionBody(StrictSerializer):
    number = serializers.CharField(max_length=100)
    country = serializers.RegexField(r"^[A-Za-z]{2}$", max_length=2, required=False)
    region = serializers.CharField(max_length=50, required=False, allow_blank=True)
    valid_from = TimeField(required=False, allow_null=True)
    valid_until = TimeField(required=False, allow_null=True)


class TaxExemptionAnswer(serializers.ModelSerializer[TaxExemption]):
    class Meta:
        model = TaxExemption
        fields = ["id", "number", "country", "region", "valid_from", "valid_until", "created_at"]


class TaxExemptionsView(RowsView[TaxExemption]):
    scope = ApiScope.BILLING
    names = {"get": "listTaxExemptions", "post": "addTaxExemption"}
    refusals = ("unknown_customer", "tax_exemption_exists")
    operation = "billing.tax_exemptions.add"
    serializer_class = TaxExemptionAnswer

    def get_queryset(self) -> QuerySet[TaxExemption]:
        """Return the customer's certificates."""
        if "customer_id" not in self.kwargs:
            return TaxExemption.objects.none()
        return tax_exemptions.exemptions_of(
            livemode=self.livemode, customer_id=self.kwargs["customer_id"]
        )

    @extend_schema(request=TaxExemptionBody, responses={201: TaxExemptionAnswer})
    def post(self, request: Request, customer_id: str) -> HttpResponse:
        """Add a certificate of exemption, in force from `valid_from`, else from now on."""
        body = self.read(TaxExemptionBody, request)
        return self.once(
            request,
            content={**body, "customer": customer_id},
            make=lambda: (
                TaxExemptionAnswer(
                    tax_exemptions.add_exemption(
                        livemode=self.livemode, customer_id=customer_id, now=timezone.now(), **body
                    )
                ).data
            ),
        )


class EndTaxExemptionView(ApiView):
    scope = ApiScope.BILLING
    names = {"post": "endTaxExemption"}
    refusals = ("unknown_customer", "unknown_tax_exemption")
    operation = "billing.tax_exemptions.end"

    @extend_schema(request=EndTaxRateBody, responses=TaxExemptionAnswer)
    def post(self, request: Request, customer_id: str, exemption_id: int) -> HttpResponse:
        """End a certificate at `valid_until`, else now; its other fields never change."""
        body = self.read(EndTaxRateBody, request)
        return self.once(
            request,
            content={**body, "customer": customer_id, "exemption": exemption_id},
            make=lambda: (
                TaxExemptionAnswer(
                    tax_exemptions.end_exemption(
                        livemode=self.livemode,
                        customer_id=customer_id,
                        exemption_id=exemption_id,
                        now=timezone.now(),
                        **body,
                    )
                ).data
            ),
            status=200,
        )
