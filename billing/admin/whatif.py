"""Plans on trial: what a version would charge for typed-in usage, or would have charged."""

from __future__ import annotations

from django.contrib import admin

from aforo.adminui import ReadOnlyAdmin
from billing.models import Backtest


@admin.register(Backtest)
class BacktestAdmin(ReadOnlyAdmin):
    list_display = ["version", "offering", "starts_at", "ends_at", "status", "created_at"]
    list_filter = ["status", "livemode"]
    list_select_related = ["version__plan", "offering"]
    ordering = ["-created_at"]
