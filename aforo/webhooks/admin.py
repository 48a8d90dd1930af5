"""The outbox in the back office, to read."""

from __future__ import annotations

from django.contrib import admin

from aforo.adminui.admins import ReadOnlyAdmin
from aforo.webhooks.models import OutboxEvent


@admin.register(OutboxEvent)
class OutboxEventAdmin(ReadOnlyAdmin):
    list_display = ["type", "customer_id", "livemode", "occurred_at", "position"]
    list_filter = ["type", "livemode", "occurred_at"]
    search_fields = ["customer_id", "=id"]
    ordering = ["-id"]
    show_full_result_count = False
