"""Accounting periods in the back office, and their closing, which needs every app."""

from __future__ import annotations

from datetime import date

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from aforo.adminui.admins import ReadOnlyAdmin, ReadOnlyInline
from aforo.adminui.forms import Form, MonthField
from aforo.adminui.pages import action, page_action
from aforo.errors import DomainError
from billing.finance import closing, reports
from ledger.models import AccountingPeriod, ClosePack, PeriodStatus


class CloseForm(Form):
    """The month that is to be closed."""

    month = MonthField(
        help_text="It is swept, brought up to its end, sealed and tied out; it stays open, and says"
        " why, where anything differs. Repeating is safe.",
    )


class PackInline(ReadOnlyInline):
    model = ClosePack
    fields = ["number", "closed_at", "closed_by"]
    ordering = ["number"]


@admin.register(AccountingPeriod)
class PeriodAdmin(ReadOnlyAdmin):
    list_display = ["__str__", "status", "closed_at", "closed_by"]
    list_filter = ["status"]
    ordering = ["-starts_on"]
    inlines = [PackInline]
    actions = ["close"]
    actions_list = ["close_a_month"]
    when_empty = "No month has been closed. “Close a month”, above, begins with any that is over."

    @page_action(description="Close a month", url_path="close", permission="act")
    def close_a_month(self, request: HttpRequest) -> HttpResponse:
        """Render the form with the next month, and close the month that is sent."""
        form = CloseForm(request.POST or None, initial={"month": _next_month()})
        if request.method == "POST" and form.is_valid():
            try:
                month, _ = reports.read_month(form.cleaned_data["month"])
                self._close(request, month)
            except DomainError as error:
                form.add_error(None, error.detail)
            else:
                return HttpResponseRedirect(reverse("admin:ledger_accountingperiod_changelist"))
        context = {
            **self.admin_site.each_context(request),
            "title": "Close a month",
            "opts": self.opts,
            "form": form,
            "label": "Close",
        }
        return render(request, "adminui/ask.html", context)

    @action(description="Close: tie out, lock, freeze the pack")
    def close(self, request: HttpRequest, periods: QuerySet[AccountingPeriod]) -> None:
        """Close each chosen month, the earliest first."""
        for period in periods.order_by("starts_on"):
            try:
                self._close(request, period.starts_on)
            except DomainError as error:
                self.message_user(request, f"{period}: {error.detail}", messages.ERROR)

    def _close(self, request: HttpRequest, month: date) -> None:
        pack = closing.close_period(
            month=month,
            by=request.user.get_username(),
            now=timezone.now(),
            clock=timezone.now,
        )
        text = f"{month:%Y-%m}: closed, with {pack.files.count()} files in its pack."
        self.message_user(request, text, messages.SUCCESS)


def _next_month() -> str:
    """Return the first month on record that is open; before any is, last month."""
    waiting = (
        AccountingPeriod.objects.exclude(status=PeriodStatus.CLOSED).order_by("starts_on").first()
    )
    if waiting is not None:
        return str(waiting)
    first = timezone.now().date().replace(day=1)
    return f"{date.fromordinal(first.toordinal() - 1):%Y-%m}"
