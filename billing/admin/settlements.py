"""Settlements in the back office, and their corrections."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from aforo.adminui.admins import ReadOnlyAdmin, ReadOnlyInline
from aforo.adminui.forms import Form
from aforo.adminui.pages import found, link, page_action, table, waiting_text
from aforo.errors import DomainError
from aforo.ids import new_id
from billing.adjustments import corrections
from billing.admin import simulator_pages as pages
from billing.models import LateCredit, Settlement, SettlementAdjustment


class AdjustForm(Form):
    """A correction of one line; `key` makes it happen once however often it is sent."""

    description = forms.CharField(max_length=300)
    amount = forms.DecimalField(
        max_digits=38,
        decimal_places=12,
        help_text="Before tax. Below zero gives back: what is open first, then what was paid.",
    )
    reason = forms.CharField(max_length=300)
    key = forms.CharField(max_length=255)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["key"].widget = forms.HiddenInput()

    def lines(self) -> list[corrections.Correction]:
        """Return the line that was typed in."""
        data = self.cleaned_data
        return [corrections.Correction(data["description"], data["amount"])]


class AdjustmentInline(ReadOnlyInline):
    model = SettlementAdjustment
    fields = ["created_at", "net", "tax", "reason", "by"]
    ordering = ["created_at"]


@admin.register(Settlement)
class SettlementAdmin(ReadOnlyAdmin):
    list_display = [
        "book", "cycle", "starts_at", "ends_at", "status", "statement_number", "currency",
        "arrears",
    ]  # fmt: skip
    list_filter = ["status", "billing_mode", "book__livemode", "ends_at"]
    list_select_related = ["book"]
    search_fields = ["book__key", "statement_number", "=id", "=subscription__id"]
    ordering = ["-id"]
    inlines = [AdjustmentInline]
    actions_detail = ["adjust"]
    exclude = ["stages", "totals", "rolled_on"]
    readonly_fields = ["total", "trace", "leads_to"]
    when_empty = "A cycle is settled when it has ended: by the sweep, or with manage.py settle."

    @admin.display(description="totals")
    def total(self, settlement: Settlement) -> SafeString | str:
        """Return the totals of the cycle, and who pays."""
        if not settlement.totals:
            return "-"
        return table(
            ["", settlement.currency], pages.who_pays(settlement.totals, settlement.currency)
        )

    @admin.display(description="stages")
    def trace(self, settlement: Settlement) -> SafeString | str:
        """Return the ten stages, each with its reasons."""
        shown = pages.stages(settlement.stages)
        return table(shown["headers"], shown["rows"]) if shown["rows"] else "-"

    @admin.display(description="leads to")
    def leads_to(self, settlement: Settlement) -> SafeString:
        """Return links to the invoice, and to what the cycle burned of each lot."""
        burns = reverse("admin:billing_cycleburn_changelist")
        asked = {"subscription__id__exact": settlement.subscription_id, "cycle": settlement.cycle}
        ways = [(f"{burns}?{urlencode(asked)}", "the lots that paid")]
        invoice = getattr(settlement, "invoice", None)
        if invoice is not None:
            ways.append(
                (
                    reverse("admin:billing_invoice_change", args=[invoice.pk]),
                    f"the invoice {invoice}",
                )
            )
        return format_html_join(", ", "{}", ((link(url, title),) for url, title in ways))

    @page_action(description="Adjust", url_path="adjust")
    def adjust(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Correct a settled cycle, in the name of the user."""
        settled = found(Settlement.objects.select_related("book"), object_id)
        if not request.user.has_perm("billing.add_settlementadjustment"):
            raise PermissionDenied
        form = AdjustForm(request.POST or None, initial={"key": f"admin-{new_id()}"})
        if request.method == "POST" and form.is_valid() and self._adjusted(request, settled, form):
            return HttpResponseRedirect(
                reverse("admin:billing_settlement_change", args=[settled.pk])
            )
        context = {
            **self.admin_site.each_context(request),
            "title": f"Adjust {settled.book.key}, {settled}",
            "opts": self.opts,
            "form": form,
            "label": "Adjust",
        }
        return render(request, "adminui/ask.html", context)

    def _adjusted(self, request: HttpRequest, settled: Settlement, form: AdjustForm) -> bool:
        """Call the service; return whether it accepted, else add the reason to the form."""
        try:
            done = corrections.adjust_settlement(
                livemode=settled.book.livemode,
                settlement_id=settled.pk,
                lines=form.lines(),
                reason=form.cleaned_data["reason"],
                key=form.cleaned_data["key"],
                by=f"Back office: {request.user}",
            )
        except DomainError as error:
            form.add_error(None, error.detail)
            return False
        if done.status == 202:
            self.message_user(request, waiting_text(f"{settled}: Adjust"), messages.WARNING)
            return True
        amount = form.cleaned_data["amount"]
        text = f"{settled}: adjusted by {amount.normalize():f} {settled.currency} before tax."
        self.message_user(request, text, messages.SUCCESS)
        return True


@admin.register(SettlementAdjustment)
class SettlementAdjustmentAdmin(ReadOnlyAdmin):
    list_display = [
        "created_at", "settlement", "net", "tax", "receivable", "customer_credit", "arrears",
        "wallet", "reason", "by",
    ]  # fmt: skip
    list_filter = ["settlement__book__livemode", "created_at"]
    list_select_related = ["settlement"]
    search_fields = ["settlement__book__key", "reason", "by", "=settlement__id"]
    ordering = ["-created_at"]


@admin.register(LateCredit)
class LateCreditAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "settlement", "description", "amount", "used", "paid_out"]
    list_filter = ["settlement__book__livemode", "created_at"]
    list_select_related = ["settlement"]
    search_fields = ["settlement__book__key", "description", "=settlement__id"]
    ordering = ["-created_at"]
