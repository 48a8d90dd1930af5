"""Metrics: what a price counts stays as it is."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from aforo.adminui.admins import ModelAdmin, Sent
from pricing.admin.forms import MetricForm
from pricing.metrics import metrics
from pricing.models import Metric


@admin.register(Metric)
class MetricAdmin(ModelAdmin):  # type: ignore[misc]
    form = MetricForm
    list_display = ["code", "name", "aggregation", "property", "livemode"]
    list_filter = ["livemode", "aggregation"]
    search_fields = ["code", "name"]
    ordering = ["code"]

    def get_readonly_fields(self, request: HttpRequest, obj: Metric | None = None) -> list[str]:
        """Return code and mode, which never change, and what a priced metric measures."""
        if obj is None:
            return []
        measure = ["aggregation", "property", "filters"] if obj.charges.exists() else []
        return ["livemode", "code", *measure]

    def add_row(self, sent: Sent) -> Metric:
        """Create the metric."""
        return metrics.create_metric(**sent.fields)

    def change_row(self, sent: Sent) -> None:
        """Change what of it may change."""
        metrics.update_metric(livemode=sent.row.livemode, code=sent.row.code, changes=sent.changes)
