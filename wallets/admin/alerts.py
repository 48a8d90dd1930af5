"""Alerts: thresholds set and removed by their service, and shown on the customer's page."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from aforo.adminui.admins import ModelAdmin, Sent
from aforo.adminui.forms import add_faults
from aforo.adminui.pages import link, table
from aforo.errors import Invalid
from aforo.money import plain
from ledger.models import Book
from wallets.alerts import thresholds
from wallets.alerts.thresholds import Threshold
from wallets.models import AlertThreshold


class AlertForm(forms.ModelForm[AlertThreshold]):
    class Meta:
        model = AlertThreshold
        fields = ["wallet", "unit_wallet", "unit", "at", "mail"]

    def clean(self) -> dict[str, Any]:
        """Check the threshold by the service that writes it."""
        cleaned = super().clean() or {}
        if not self.errors:
            try:
                thresholds.check_threshold(
                    Threshold(cleaned["at"], cleaned["unit"]),
                    wallets=[cleaned["wallet"], cleaned["unit_wallet"]],
                )
            except Invalid as error:
                add_faults(self, error)
        return cleaned


@admin.register(AlertThreshold)
class AlertThresholdAdmin(ModelAdmin):  # type: ignore[misc]
    when_empty = "An alert is set here, or by PUT /v1/wallets/CUSTOMER/alerts."
    form = AlertForm
    fields = AlertForm.Meta.fields
    list_display = ["book", "wallet", "unit_wallet", "unit", "at", "mail", "crossed_at"]
    list_filter = ["unit", "mail", "crossed_at", "book__livemode"]
    list_select_related = ["book", "wallet__book", "unit_wallet__book", "unit_wallet__metric"]
    search_fields = ["book__key"]
    autocomplete_fields = ["wallet", "unit_wallet"]
    ordering = ["book__key", "pk"]

    def add_row(self, sent: Sent) -> AlertThreshold:
        """Set another threshold of the wallet."""
        row = sent.row
        return thresholds.add(wallet=row.of, threshold=Threshold(row.at, row.unit, row.mail))

    def delete_row(self, row: AlertThreshold) -> None:
        """Remove a threshold."""
        thresholds.remove(row=row)


def of_customer(book: Book) -> SafeString:
    """Return a customer's alerts as a table, and a link to set more."""
    rows = [
        [
            next(iter(row.of.unit.values())),
            row.get_unit_display(),
            plain(row.at),
            row.crossed_at or "-",
        ]
        for row in thresholds.of_book(book)
    ]
    listed = reverse("admin:wallets_alertthreshold_changelist")
    more = link(f"{listed}?{urlencode({'q': book.key})}", "Set alerts")
    if not rows:
        return more
    return format_html("{}{}", table(["Wallet", "Alert", "At", "Reached"], rows), more)
