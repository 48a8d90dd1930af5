"""`/v1/wallets/{customer_id}/alerts`: at which figures of a wallet others are told."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.access.models import ApiScope
from aforo.api.fields import DecimalField, StrictSerializer
from aforo.api.views import ApiView
from ledger.entries import books
from wallets.alerts import thresholds
from wallets.alerts.thresholds import Threshold
from wallets.api.shapes import CreditsField
from wallets.models import AlertThreshold, AlertUnit


class ThresholdBody(StrictSerializer):
    at = DecimalField()
    unit = serializers.ChoiceField(choices=AlertUnit.choices)
    mail = serializers.BooleanField(
        default=True, help_text="The customer is written to, besides the webhook."
    )


class AlertsBody(StrictSerializer):
    currency = CreditsField(required=False)
    metric = serializers.CharField(max_length=255, required=False)
    thresholds = serializers.ListField(child=ThresholdBody(), max_length=thresholds.MOST)


class ThresholdAnswer(serializers.ModelSerializer[AlertThreshold]):
    at = DecimalField()

    class Meta:
        model = AlertThreshold
        fields = ["at", "unit", "mail", "crossed_at"]


class AlertsAnswer(serializers.Serializer[Any]):
    customer_id = serializers.CharField()
    currency = serializers.CharField(required=False)
    metric = serializers.CharField(required=False)
    thresholds = ThresholdAnswer(many=True)


class AlertsOfCustomer(serializers.Serializer[Any]):
    data = AlertsAnswer(many=True)  # type: ignore[assignment]


class AlertsView(ApiView):
    scope = ApiScope.WALLETS
    names = {"get": "getWalletAlerts", "put": "setWalletAlerts"}
    refusals = ("unknown_customer",)

    @extend_schema(responses=AlertsOfCustomer)
    def get(self, request: Request, customer_id: str) -> Response:
        """Return the thresholds of each of a customer's wallets that has any, and since when each
        is crossed.
        """
        book = books.get_book(livemode=self.livemode, key=customer_id)
        by_wallet = groupby(thresholds.of_book(book), key=lambda row: row.of.unit)
        shown = [_shown(customer_id, unit, list(rows)) for unit, rows in by_wallet]
        return Response({"data": shown})

    @extend_schema(request=AlertsBody, responses=AlertsAnswer)
    def put(self, request: Request, customer_id: str) -> Response:
        """Set all thresholds of a wallet: figures at which `wallet.alert` or `credits.expiring` is
        told, once when each is reached and once when it has recovered, within a minute.
        """
        body = self.read(AlertsBody, request)
        wanted = [Threshold(**each) for each in body.pop("thresholds")]
        rows = thresholds.set_thresholds(
            livemode=self.livemode, customer_id=customer_id, thresholds=wanted, **body
        )
        return Response(_shown(customer_id, body, rows))


def _shown(customer_id: str, unit: dict[str, str], rows: list[AlertThreshold]) -> dict[str, Any]:
    return {
        "customer_id": customer_id,
        **unit,
        "thresholds": ThresholdAnswer(rows, many=True).data,
    }
