"""`/v1/credit-units`."""

from __future__ import annotations

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.access.models import ApiScope
from aforo.api.fields import DecimalField, MapField, StrictSerializer
from aforo.api.views import ApiView
from pricing.api.catalog import CatalogList
from pricing.models import CreditUnit
from pricing.models.credit_units import MOST_DECIMALS
from pricing.offerings import credit_units


class RatesField(MapField):
    """What one credit costs, by currency."""

    limit = 100

    def __init__(self) -> None:
        super().__init__(child=DecimalField(positive=True), required=False)


@extend_schema_field(serializers.DictField(child=serializers.CharField()))
class StoredRatesField(serializers.JSONField):
    """Rates as they are stored: decimals by currency."""


class CreditUnitBody(StrictSerializer):
    code = serializers.CharField(max_length=10)
    name = serializers.CharField(max_length=200)
    decimals = serializers.IntegerField(min_value=0, max_value=MOST_DECIMALS, required=False)
    rates = RatesField()
    tax_at_sale = serializers.BooleanField(required=False)
    tax_class = serializers.CharField(max_length=40, required=False, allow_blank=True)


class CreditUnitChange(StrictSerializer):
    name = serializers.CharField(max_length=200, required=False)
    active = serializers.BooleanField(required=False)
    rates = RatesField()
    tax_at_sale = serializers.BooleanField(required=False)
    tax_class = serializers.CharField(max_length=40, required=False, allow_blank=True)


class CreditUnitAnswer(serializers.ModelSerializer[CreditUnit]):
    rates = StoredRatesField()

    class Meta:
        model = CreditUnit
        fields = [
            "code", "name", "decimals", "rates", "tax_at_sale", "tax_class", "active", "created_at",
        ]  # fmt: skip


class CreditUnitsView(CatalogList):
    names = {"get": "listCreditUnits", "post": "createCreditUnit"}
    refusals = ("code_taken",)
    operation = "pricing.credit_units.create"
    model = CreditUnit
    serializer_class = CreditUnitAnswer
    filterset_fields = ["active"]

    @extend_schema(request=CreditUnitBody, responses={201: CreditUnitAnswer})
    def post(self, request: Request) -> HttpResponse:
        """Register a credit unit, with what one credit costs."""
        body = self.read(CreditUnitBody, request)
        return self.once(
            request,
            content=body,
            make=lambda: (
                CreditUnitAnswer(
                    credit_units.create_credit_unit(livemode=self.livemode, **body)
                ).data
            ),
        )


class CreditUnitView(ApiView):
    scope = ApiScope.CATALOG
    names = {"get": "getCreditUnit", "patch": "updateCreditUnit"}
    refusals = ("unknown_unit",)

    @extend_schema(responses=CreditUnitAnswer)
    def get(self, request: Request, code: str) -> Response:
        """Return a credit unit."""
        found = credit_units.get_credit_unit(livemode=self.livemode, code=code)
        return Response(CreditUnitAnswer(found).data)

    @extend_schema(request=CreditUnitChange, responses=CreditUnitAnswer)
    def patch(self, request: Request, code: str) -> Response:
        """Change a credit unit: its rates, and whether new credits of it are made."""
        body = self.read(CreditUnitChange, request)
        changed = credit_units.update_credit_unit(livemode=self.livemode, code=code, changes=body)
        return Response(CreditUnitAnswer(changed).data)
