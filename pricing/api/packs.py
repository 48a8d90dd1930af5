"""`/v1/packs`."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.access.models import ApiScope
from aforo.api.fields import DecimalField, MapField, NothingBody, StrictSerializer, TimeField
from aforo.api.views import ApiView
from pricing.api.catalog import CatalogList, CodeField
from pricing.api.credit_units import StoredRatesField
from pricing.models import Pack
from pricing.offerings import packs


class PricesField(MapField):
    """What a pack costs, by currency."""

    limit = 100

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(child=DecimalField(positive=True), **kwargs)


class CountField(serializers.IntegerField):
    """A number of days or purchases."""

    def __init__(self) -> None:
        super().__init__(min_value=1, max_value=36_500, required=False, allow_null=True)


class PackBody(StrictSerializer):
    code = CodeField()
    name = serializers.CharField(max_length=200)
    unit = serializers.CharField(max_length=10)
    quantity = DecimalField(positive=True)
    bonus_quantity = DecimalField(positive=True, required=False, allow_null=True)
    prices = PricesField()
    expires_after_days = CountField()
    available_from = TimeField(required=False, allow_null=True)
    available_until = TimeField(required=False, allow_null=True)
    max_per_customer = CountField()


class PackChange(StrictSerializer):
    name = serializers.CharField(max_length=200, required=False)
    quantity = DecimalField(positive=True, required=False)
    bonus_quantity = DecimalField(positive=True, required=False, allow_null=True)
    prices = PricesField(required=False)
    expires_after_days = CountField()
    available_from = TimeField(required=False, allow_null=True)
    available_until = TimeField(required=False, allow_null=True)
    max_per_customer = CountField()


class PackAnswer(serializers.ModelSerializer[Pack]):
    unit = serializers.CharField(source="unit.code")
    quantity = DecimalField()
    bonus_quantity = DecimalField(allow_null=True)
    prices = StoredRatesField()

    class Meta:
        model = Pack
        fields = [
            "code", "version", "name", "unit", "quantity", "bonus_quantity", "prices",
            "expires_after_days", "available_from", "available_until", "max_per_customer",
            "archived_at", "created_at",
        ]  # fmt: skip


class PacksView(CatalogList):
    """The packs, every version of each."""

    names = {"get": "listPacks", "post": "createPack"}
    refusals = ("code_taken",)
    operation = "pricing.packs.create"
    model = Pack
    serializer_class = PackAnswer
    filterset_fields = ["code"]

    @extend_schema(request=PackBody, responses={201: PackAnswer})
    def post(self, request: Request) -> HttpResponse:
        """Create a pack of credits at a price in each currency."""
        body = self.read(PackBody, request)
        return self.once(
            request,
            content=body,
            make=lambda: PackAnswer(packs.create_pack(livemode=self.livemode, **body)).data,
        )


class PackView(ApiView):
    scope = ApiScope.CATALOG
    names = {"get": "getPack", "patch": "updatePack"}
    refusals = ("unknown_pack", "code_taken")

    @extend_schema(responses=PackAnswer)
    def get(self, request: Request, code: str) -> Response:
        """Return the version of a pack that is offered."""
        return Response(PackAnswer(packs.get_pack(livemode=self.livemode, code=code)).data)

    @extend_schema(request=PackChange, responses=PackAnswer)
    def patch(self, request: Request, code: str) -> Response:
        """Create a new version of a pack; what was sold keeps its own."""
        body = self.read(PackChange, request)
        changed = packs.change_pack(livemode=self.livemode, code=code, changes=body)
        return Response(PackAnswer(changed).data)


class PackArchiveView(ApiView):
    scope = ApiScope.CATALOG
    names = {"post": "archivePack"}
    refusals = ("unknown_pack",)
    operation = "pricing.packs.archive"

    @extend_schema(request=None, responses=PackAnswer)
    def post(self, request: Request, code: str) -> HttpResponse:
        """Archive a pack: it is sold no more; what was sold lives on."""
        self.read(NothingBody, request)
        now = timezone.now()
        return self.once(
            request,
            content={"code": code},
            status=200,
            make=lambda: (
                PackAnswer(packs.archive_pack(livemode=self.livemode, code=code, now=now)).data
            ),
        )
