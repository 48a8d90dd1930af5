"""`/v1/ledger/reports`: every report, as JSON, CSV or XLSX."""

from __future__ import annotations

from typing import Any

from django.http import FileResponse
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.access.models import ApiScope
from aforo.api.fields import CurrencyField, DayField, StrictSerializer, TimeField
from aforo.api.views import ApiView
from billing.finance import reports
from billing.finance.reports import running


class ReportQuery(StrictSerializer):
    period = serializers.CharField(max_length=7, required=False, help_text="A month, YYYY-MM.")
    as_of = DayField(required=False, help_text="Its month up to this day.")
    recorded_until = TimeField(required=False)
    currency = CurrencyField(required=False)
    customer_id = serializers.CharField(max_length=64, required=False)
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
    scope = ApiScope.LEDGER
    names = {"get": "listReports"}

    @extend_schema(responses=ReportsAnswer)
    def get(self, request: Request) -> Response:
        """Return the list of reports."""
        data = [
            {"name": offered.name, "title": offered.title, "says": offered.says}
            for offered in reports.CATALOGUE
        ]
        return Response({"data": data, "next": None})


class ReportView(ApiView):
    scope = ApiScope.LEDGER
    names = {"get": "runReport"}
    refusals = ("unknown_report",)
    query = ReportQuery

    @extend_schema(
        parameters=[ReportQuery],
        responses=ReportAnswer,
    )
    def get(self, request: Request, name: str) -> FileResponse:
        """Run a report; without a period or a day, on this month to date.

        All rows come at once, as a file; `header` has the parameters, control totals and the hash.
        """
        offered = reports.find(name)
        asked = self.asked(request)
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
