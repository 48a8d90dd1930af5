"""`/v1/statements`: a customer's month."""

from __future__ import annotations

import csv
import io
from datetime import date
from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.access.models import ApiScope
from aforo.api.fields import DecimalField, StrictSerializer
from aforo.api.views import ApiView
from ledger.entries import books
from pricing.models import CreditKind
from wallets import monthly_statements
from wallets.models import CreditSource, MovementKind


class StatementQuery(StrictSerializer):
    customer_id = serializers.CharField(max_length=64)
    period = serializers.RegexField(
        r"^(19[7-9]\d|20\d\d|21\d\d)-(0[1-9]|1[0-2])$", max_length=7, help_text="A month, YYYY-MM."
    )


class StatementLineAnswer(serializers.Serializer[Any]):
    occurred_at = serializers.DateTimeField()
    kind = serializers.ChoiceField(choices=MovementKind.choices)
    cause = serializers.CharField(help_text="The event of its entry.")
    credit = serializers.ChoiceField(choices=CreditKind.choices)
    # As lots have it.
    source = serializers.ChoiceField(choices=CreditSource.choices)  # type: ignore[assignment]
    quantity = DecimalField(help_text="Below zero where credits went out.")
    balance = DecimalField()
    lot = serializers.UUIDField()
    entry = serializers.UUIDField()


class WalletMonthAnswer(serializers.Serializer[Any]):
    currency = serializers.CharField(allow_null=True)
    metric = serializers.CharField(allow_null=True)
    opening = DecimalField()
    sums = serializers.DictField(child=DecimalField(), help_text="By kind of movement.")
    closing = DecimalField()
    movements = StatementLineAnswer(many=True, source="lines")


class MonthlyStatementAnswer(serializers.Serializer[Any]):
    customer_id = serializers.CharField()
    period = serializers.CharField()
    wallets = WalletMonthAnswer(many=True)


class _MonthView(ApiView):
    scope = ApiScope.BILLING
    query = StatementQuery
    refusals = ("unknown_customer",)

    def month(self, request: Request) -> dict[str, Any]:
        """Return the statement that is asked for."""
        asked = self.asked(request)
        book = books.get_book(livemode=self.livemode, key=asked["customer_id"])
        month = date.fromisoformat(f"{asked['period']}-01")
        return {**asked, "wallets": monthly_statements.of_month(book=book, month=month)}


class MonthlyStatementView(_MonthView):
    names = {"get": "getMonthlyStatement"}

    @extend_schema(parameters=[StatementQuery], responses=MonthlyStatementAnswer)
    def get(self, request: Request) -> Response:
        """Return a customer's month: what each wallet had, each movement, what was left."""
        return Response(MonthlyStatementAnswer(self.month(request)).data)


class MonthlyStatementCsvView(_MonthView):
    names = {"get": "getMonthlyStatementCsv"}

    @extend_schema(
        parameters=[StatementQuery],
        responses={(200, "text/csv"): OpenApiTypes.STR},
        tags=["statements"],
    )
    def get(self, request: Request) -> HttpResponse:
        """Return a customer's month as a file."""
        found = self.month(request)
        file = io.StringIO()
        csv.writer(file).writerows(monthly_statements.table(found["wallets"]))
        name = f"statement-{found['customer_id']}-{found['period']}.csv".replace('"', "_")
        return HttpResponse(
            file.getvalue(),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )
