"""Account mapping, exchange rates and exported files in the back office."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone

from aforo.adminui.admins import ModelAdmin, ReadOnlyAdmin, Sent
from aforo.adminui.forms import add_faults
from aforo.errors import Invalid
from ledger import account_mapping, exchange_rates
from ledger.exchange_rates import DayRate
from ledger.models import ApprovalRequest, ExchangeRate, ExportBatch, GlMapping


class GlMappingForm(forms.ModelForm[GlMapping]):
    class Meta:
        model = GlMapping
        fields = ["account", "currency", "starts_on", "ends_on", "gl_code", "gl_name"]

    def clean_currency(self) -> str:
        """Return the currency in capitals."""
        return str(self.cleaned_data["currency"]).upper()

    def clean(self) -> dict[str, Any]:
        """Check the rule by the service that writes it."""
        cleaned = super().clean() or {}
        if not self.errors:
            try:
                account_mapping.check_rule(
                    currency=cleaned["currency"],
                    starts_on=cleaned["starts_on"],
                    ends_on=cleaned["ends_on"],
                )
            except Invalid as error:
                add_faults(self, error)
        return cleaned


@admin.register(GlMapping)
class GlMappingAdmin(ModelAdmin):  # type: ignore[misc]
    """Which accounts of the company's general ledger the exports post to."""

    form = GlMappingForm
    when_empty = (
        "Import formats need every account that a month moves to be mapped to the code of "
        "your general ledger."
    )
    list_display = ["account", "currency", "gl_code", "gl_name", "starts_on", "ends_on"]
    list_filter = ["currency", "account"]
    list_select_related = ["account"]
    search_fields = ["account__code", "account__name", "gl_code", "gl_name"]
    ordering = ["account", "currency", "-starts_on"]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Return none: each rule is deleted on its own page, where it may have to wait."""
        return {}

    def add_row(self, sent: Sent) -> GlMapping | ApprovalRequest:
        """Add the rule."""
        return account_mapping.ask_for_rule(sent.row, now=timezone.now())

    def change_row(self, sent: Sent) -> GlMapping | ApprovalRequest:
        """Change the rule."""
        return account_mapping.ask_for_rule(sent.row, now=timezone.now())

    def delete_row(self, row: GlMapping) -> ApprovalRequest | None:
        """Delete the rule."""
        return account_mapping.ask_for_deletion(row, now=timezone.now())


class ExchangeRateForm(forms.ModelForm[ExchangeRate]):
    class Meta:
        model = ExchangeRate
        fields = ["currency", "day", "rate", "source"]

    def clean_currency(self) -> str:
        """Return the currency in capitals."""
        return str(self.cleaned_data["currency"]).upper()

    def clean(self) -> dict[str, Any]:
        """Check the rate by the service that records it."""
        cleaned = super().clean() or {}
        if not self.errors:
            faults = exchange_rates.check(_rate(cleaned))
            if faults:
                add_faults(self, Invalid(faults))
        return cleaned


def _rate(fields: dict[str, Any]) -> DayRate:
    return DayRate(fields["currency"], fields["day"], fields["rate"])


@admin.register(ExchangeRate)
class ExchangeRateAdmin(ModelAdmin):  # type: ignore[misc]
    """What other currencies are worth; recorded once, by hand or by `import_rates`."""

    form = ExchangeRateForm
    when_empty = "Files that translate amounts need the rate of each day on which those moved."
    list_display = ["currency", "day", "rate", "source", "recorded_at"]
    list_filter = ["currency"]
    ordering = ["-day", "currency"]
    date_hierarchy = "day"

    def add_row(self, sent: Sent) -> ExchangeRate | ApprovalRequest:
        """Record the rate."""
        rate = _rate(sent.fields)
        done = exchange_rates.ask_to_record(
            [rate], source=sent.fields["source"], now=timezone.now()
        )
        if isinstance(done, ApprovalRequest):
            return done
        return ExchangeRate.objects.get(currency=rate.currency, day=rate.day)


@admin.register(ExportBatch)
class ExportBatchAdmin(ReadOnlyAdmin):
    when_empty = "Make the first one under Exports."
    list_display = [
        "number", "format", "starts_on", "livemode", "entries", "rows", "created_at", "created_by",
    ]  # fmt: skip
    list_filter = ["format", "livemode", "starts_on"]
    search_fields = ["=receipts__target_id", "=sha256"]
    ordering = ["-created_at"]
