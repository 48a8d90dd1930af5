"""Account mapping and exported files in the back office."""

from __future__ import annotations

from django.contrib import admin

from aforo.adminui import ModelAdmin, ReadOnlyAdmin
from ledger.models import ExportBatch, GlMapping


@admin.register(GlMapping)
class GlMappingAdmin(ModelAdmin):  # type: ignore[misc]
    """Which accounts of the company's general ledger the exports post to."""

    when_empty = (
        "Import formats need every account that a month moves to be mapped to the code of "
        "your general ledger."
    )
    list_display = ["account", "currency", "gl_code", "gl_name", "starts_on", "ends_on"]
    list_filter = ["currency", "account"]
    list_select_related = ["account"]
    search_fields = ["account__code", "account__name", "gl_code", "gl_name"]
    ordering = ["account", "currency", "-starts_on"]


@admin.register(ExportBatch)
class ExportBatchAdmin(ReadOnlyAdmin):
    when_empty = "Make the first one under Exports."
    list_display = [
        "number", "format", "starts_on", "livemode", "entries", "rows", "created_at", "created_by",
    ]  # fmt: skip
    list_filter = ["format", "livemode", "starts_on"]
    search_fields = ["=receipts__target_id", "=sha256"]
    ordering = ["-created_at"]
