"""The months of the books: closed here, since closing looks over everything."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from aforo.adminui import ReadOnlyAdmin, action
from aforo.errors import DomainError
from billing import closing
from ledger.models import Period


@admin.register(Period)
class PeriodAdmin(ReadOnlyAdmin):
    list_display = ["starts_on", "ends_on", "status", "closed_at", "closed_by"]
    list_filter = ["status"]
    ordering = ["-starts_on"]
    actions = ["close"]

    @action(description="Close: tie out, lock, freeze the pack")
    def close(self, request: HttpRequest, periods: QuerySet[Period]) -> None:
        """Close each chosen month, the earliest first."""
        for period in periods.order_by("starts_on"):
            try:
                pack = closing.close_period(
                    month=period.starts_on,
                    by=request.user.get_username(),
                    now=timezone.now(),
                    clock=timezone.now,
                )
            except DomainError as error:
                self.message_user(request, f"{period}: {error.detail}", messages.ERROR)
            else:
                text = f"{period}: closed, with {pack.files.count()} files."
                self.message_user(request, text, messages.SUCCESS)
