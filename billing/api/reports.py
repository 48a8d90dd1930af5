"""`/v1/ledger/reports`: every report, as JSON, CSV or XLSX."""

from __future__ import annotations

from typing import Any

from django.http import FileResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.access.models import Scope
from aforo.api.fields import CurrencyField, StrictSerializer
from aforo.api.views import ApiView
from billing import reports
from billing.reports import running


class ReportQuery(StrictSerializer):
    period = serializers.CharField(required=False)
    as_of = serializers.DateField(required=False)
    recorded_until = serializers.DateTimeField(required=False)
    currency = CurrencyField(required=False)
    customer_id = serializers.CharField(required=False)
    format = serializers.ChoiceField(choices=list(running.WRITERS), default="json")


class OfferedAnswer(serializers.Serializer[Any]):
    name = serializers.CharField()
    title = serializers.CharField()
    says = serializers.CharField()


class ReportsAnswer(serializers.Serializer[Any]):
    data = OfferedAnswer(many=True)  # type: ignore[assignment]  # the name of every list
    next = serializers.URLField(allow_null=True)


class ReportAnswer(serializers.Serializer[Any]):
    data = serializers.ListField(child=serializers.DictField())  # type: ignore[assignment]
    next = serializers.URLField(allow_null=True)
    header = serializers.DictField()


class ReportsView(ApiView):
    scope = Scope.LEDGER

    @extend_schema(operation_id="ledger_reports_list", responses=ReportsAnswer)
    def get(self, request: Request) -> Response:
        """List the reports."""
        data = [
            {"name": offered.name, "title": offered.title, "says": offered.says}
            for offered in reports.CATALOGUE
        ]
        return Response({"data": data, "next": None})


class ReportView(ApiView):
    scope = Scope.LEDGER

    @extend_schema(
        parameters=[
            OpenApiParameter("period", str, description="A month, YYYY-MM."),
            OpenApiParameter("as_of", OpenApiTypes.DATE, description="Its month up to this day."),
            OpenApiParameter("recorded_until", OpenApiTypes.DATETIME),
            OpenApiParameter("currency", str),
            OpenApiParameter("customer_id", str),
            OpenApiParameter("format", str, enum=list(running.WRITERS)),
        ],
        responses=ReportAnswer,
    )
    def get(self, request: Request, name: str) -> FileResponse:
        """Run a report; without a period or a day, on this month to date.

        All rows come at once, as a file; `header` has the parameters, control totals and the hash.
        """
        offered = reports.find(name)
        query = ReportQuery(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        asked = dict(query.validated_data)
        form, now = asked.pop("format"), timezone.now()
        scope = reports.scope_of(livemode=self.livemode, now=now, **asked)
        file, header = running.spooled(make=offered.make, scope=scope, form=form, run_at=now)
        return FileResponse(
            file,
            as_attachment=form != "json",
            filename=running.file_name(header, form),
            content_type=running.WRITERS[form][1],
            headers={"Aforo-Report-SHA256": header.sha256},
        )
