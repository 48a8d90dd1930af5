"""Test clocks in the back office; they are advanced through the API."""

from __future__ import annotations

from django.contrib import admin

from aforo.adminui.admins import ReadOnlyAdmin
from aforo.sandbox.models import TestClock


@admin.register(TestClock)
class TestClockAdmin(ReadOnlyAdmin):
    list_display = ["id", "now", "advancing_since", "created_at"]
    ordering = ["-created_at"]
