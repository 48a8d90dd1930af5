"""Tax rates in the back office."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from aforo.adminui.admins import ModelAdmin, Sent
from aforo.adminui.forms import add_faults
from aforo.adminui.pages import action, waiting_text
from aforo.errors import DomainError, Invalid
from billing.invoicing import tax_rates
from billing.models import TaxRate
from ledger.models import ApprovalRequest


class TaxRateForm(forms.ModelForm[TaxRate]):
    """Refuses what the API refuses."""

    class Meta:
        model = TaxRate
        fields = [
            "livemode", "name", "country", "region", "product_class", "percent", "adds_to_country",
            "reverse_charge", "valid_from",
        ]  # fmt: skip

    def clean(self) -> dict[str, Any]:
        """Check the rate by the service that the API calls."""
        cleaned = super().clean() or {}
        if not self.errors:
            names = ("country", "region", "percent", "adds_to_country")
            try:
                tax_rates.check_tax_rate(**{name: cleaned[name] for name in names})
            except Invalid as error:
                add_faults(self, error)
        return cleaned


@admin.register(TaxRate)
class TaxRateAdmin(ModelAdmin):  # type: ignore[misc]
    """Rates are added and ended, never edited: an invoice stays explained by the rate it was made
    with.
    """

    form = TaxRateForm
    list_display = [
        "name", "country", "region", "product_class", "percent", "valid_from", "valid_until",
        "livemode",
    ]  # fmt: skip
    list_filter = ["country", "livemode"]
    ordering = ["country", "region", "-valid_from"]
    actions = ["end_now"]

    def add_row(self, sent: Sent) -> TaxRate | ApprovalRequest:
        """Add the rate."""
        return tax_rates.ask_for_tax_rate(**sent.fields, now=timezone.now())

    @action(description="End now")
    def end_now(self, request: HttpRequest, rates: QuerySet[TaxRate]) -> None:
        """End the chosen rates; what was taxed by them stays as it is."""
        for rate in rates:
            try:
                done = tax_rates.ask_for_end(
                    livemode=rate.livemode, rate_id=rate.pk, now=timezone.now()
                )
            except DomainError as error:
                self.message_user(request, f"{rate}: {error.detail}", messages.ERROR)
            else:
                ended = isinstance(done, TaxRate)
                text = f"{rate} ended." if ended else waiting_text(f"The end of {rate}")
                self.message_user(request, text, messages.SUCCESS if ended else messages.WARNING)
