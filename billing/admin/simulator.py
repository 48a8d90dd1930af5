"""The simulator in the back office: what a version charges for typed-in usage, or would have
charged.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, time
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import render
from django.urls import path, reverse
from django.utils import timezone

from aforo.adminui.admins import ReadOnlyAdmin
from aforo.adminui.forms import Form, set_theme_widget
from aforo.adminui.pages import found, page_action
from aforo.errors import DomainError
from billing.admin import simulator_pages as pages
from billing.jobs import tasks
from billing.models import Backtest
from billing.simulation import backtest, preview
from pricing.admin.plans import RatePlanVersionAdmin
from pricing.models import BillingMode, Metric, Offering, RatePlanVersion

# Usage fields are named after the metric's number, since a code may be any text.
_USAGE = "metric_"


class PreviewForm(Form):
    """How much of each metric of a version is used, and by whom."""

    customer_id = forms.CharField(
        max_length=64, required=False, help_text="Whose credits pay and whose tax applies."
    )
    coupons = forms.CharField(
        max_length=650, required=False, help_text="Their codes, in the order they are taken off."
    )
    billing_mode = forms.ChoiceField(choices=BillingMode.choices, initial=BillingMode.HYBRID)

    def __init__(self, version: RatePlanVersion, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        metrics = Metric.objects.filter(charges__version=version).distinct().order_by("code")
        asked = {
            f"{_USAGE}{metric.pk}": forms.DecimalField(
                label=metric.code, min_value=0, max_digits=38, decimal_places=12, required=False
            )
            for metric in metrics
        }
        self.fields = {
            **{name: set_theme_widget(field) for name, field in asked.items()},
            **self.fields,
        }

    def usage(self) -> dict[str, Any]:
        """Return the quantities that were typed in, by metric code."""
        return {
            str(self.fields[name].label): value
            for name, value in self.cleaned_data.items()
            if name.startswith(_USAGE) and value is not None
        }


class BacktestForm(Form):
    """The settled cycles that a version is compared with."""

    starts_on = forms.DateField(label="From", help_text="Cycles that end after this day begins,")
    ends_on = forms.DateField(label="To", help_text="and no later than this day begins (UTC).")
    offering = forms.ChoiceField(required=False)
    customers = forms.CharField(
        widget=forms.Textarea, required=False,
        help_text="Their ids, one a line. Empty: everybody on the offering, or on the plan.",
    )  # fmt: skip
    with_credits = forms.BooleanField(
        required=False, label="Let money credits pay too, as they stood then"
    )

    def __init__(self, version: RatePlanVersion, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        plan = version.plan
        sold = Offering.objects.filter(livemode=plan.livemode, plan__currency=plan.currency)
        names = [(code, code) for code in sold.order_by("code").values_list("code", flat=True)]
        choice = self.fields["offering"]
        assert isinstance(choice, forms.ChoiceField), "an offering is chosen from a list"
        choice.choices = [("", "Every offering of the plan"), *names]

    def asked(self) -> dict[str, Any]:
        """Return the arguments of `backtest.start`."""
        data = self.cleaned_data
        return {
            "starts_at": datetime.combine(data["starts_on"], time(tzinfo=UTC)),
            "ends_at": datetime.combine(data["ends_on"], time(tzinfo=UTC)),
            "offering": data["offering"] or None,
            "customers": data["customers"].split(),
            "with_credits": data["with_credits"],
        }


admin.site.unregister(RatePlanVersion)


@admin.register(RatePlanVersion)
class SimulatedVersionAdmin(RatePlanVersionAdmin):
    """The catalogue's page of a version, with a preview and a backtest of it."""

    actions_detail = ["preview", "backtest"]

    @page_action(description="Preview", url_path="preview")
    def preview(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Price typed-in usage by the stages that settle; nothing is written."""
        version = _version(object_id)
        form = PreviewForm(version, request.GET or None)
        shown: dict[str, Any] = {}
        if form.is_bound and form.is_valid():
            try:
                shown = preview.preview(
                    livemode=version.plan.livemode,
                    version=version,
                    usage=form.usage(),
                    now=timezone.now(),
                    customer_id=form.cleaned_data["customer_id"] or None,
                    billing_mode=form.cleaned_data["billing_mode"],
                    coupons=form.cleaned_data["coupons"].split(),
                )
            except DomainError as error:
                form.add_error(None, error.detail)
        context = pages.preview(shown, version.plan.currency) if shown else {}
        return self._page(
            request, "simulator/preview.html", f"Preview of {version}", form=form, **context
        )

    @page_action(description="Backtest", url_path="backtest")
    def backtest(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Start a backtest, and redirect to its page."""
        version = _version(object_id)
        if not request.user.has_perm("billing.add_backtest"):
            raise PermissionDenied
        form = BacktestForm(version, request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                started = backtest.start(version=version, **form.asked())
            except DomainError as error:
                form.add_error(None, error.detail)
            else:
                tasks.enqueue(started.pk, task=tasks.execute_backtest)
                return HttpResponseRedirect(
                    reverse("admin:billing_backtest_change", args=[started.pk])
                )
        title = f"Backtest of {version}"
        return self._page(request, "adminui/ask.html", title, form=form, label="Run the backtest")

    def _page(
        self, request: HttpRequest, template: str, title: str, **context: Any
    ) -> HttpResponse:
        whole = {**self.admin_site.each_context(request), "title": title, "opts": self.opts}
        return render(request, template, {**whole, **context})


def _version(object_id: str) -> RatePlanVersion:
    return found(RatePlanVersion.objects.select_related("plan"), object_id)


@admin.register(Backtest)
class BacktestAdmin(ReadOnlyAdmin):
    list_display = ["version", "offering", "starts_at", "ends_at", "status", "created_at"]
    list_filter = ["status", "livemode"]
    list_select_related = ["version__plan", "offering"]
    ordering = ["-created_at"]

    def get_urls(self) -> list[Any]:
        """Add the address of the rows as a file."""
        rows = self.admin_site.admin_view(self.rows)
        return [
            path("<str:pk>/cycles.csv", rows, name="billing_backtest_csv"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Render the result of a backtest, or its progress."""
        if request.method != "GET" or not self.has_view_permission(request):
            raise PermissionDenied
        asked = found(Backtest.objects.select_related("version__plan", "offering"), object_id)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Backtest of {asked.version}",
            "opts": self.opts,
            "backtest": asked,
            "csv_url": reverse("admin:billing_backtest_csv", args=[asked.pk]),
            **pages.backtest(asked),
        }
        return render(request, "simulator/backtest.html", context)

    def rows(self, request: HttpRequest, pk: Any) -> StreamingHttpResponse:
        """Stream every cycle as CSV."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        lines: Iterable[str] = backtest.csv_lines(found(Backtest.objects.all(), pk))
        headers = {"Content-Disposition": f'attachment; filename="backtest-{pk}.csv"'}
        return StreamingHttpResponse(lines, content_type="text/csv", headers=headers)
