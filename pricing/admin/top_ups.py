"""Terms of top-ups: bounds, default lifetime and bonus slabs, per currency and mode."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from aforo import money
from aforo.adminui import ModelAdmin, TabularInline
from pricing.admin.forms import currency_of
from pricing.models import BonusSlab, TopUpRule


class TopUpRuleForm(forms.ModelForm[TopUpRule]):
    class Meta:
        model = TopUpRule
        fields = [
            "livemode", "currency", "minimum", "maximum", "expires_after_days", "on_account",
        ]  # fmt: skip

    def clean_currency(self) -> str:
        """Check that the currency can be sold in."""
        return currency_of(self.cleaned_data["currency"])

    def clean(self) -> dict[str, Any]:
        """Check the bounds against each other."""
        cleaned = super().clean() or {}
        minimum, maximum = cleaned.get("minimum"), cleaned.get("maximum")
        currency = cleaned.get("currency")
        for name, value in (("minimum", minimum), ("maximum", maximum)):
            if value is not None and value <= 0:
                self.add_error(name, "Above zero; leave it empty for no bound.")
            elif value is not None and currency and not money.is_payable(value, currency):
                self.add_error(name, f"It cannot be paid in {currency}: too many decimals.")
        if minimum is not None and maximum is not None and minimum > maximum:
            self.add_error("maximum", "It lies below the minimum.")
        if cleaned.get("expires_after_days") == 0:
            self.add_error("expires_after_days", "At least one day; leave it empty for no expiry.")
        return cleaned


class BonusSlabInline(TabularInline):  # type: ignore[misc]
    model = BonusSlab
    fields = ["from_amount", "bonus"]
    ordering = ["from_amount"]
    extra = 1


@admin.register(TopUpRule)
class TopUpRuleAdmin(ModelAdmin):  # type: ignore[misc]
    """A change counts from the next top-up on; what was bought keeps its terms."""

    form = TopUpRuleForm
    fields = TopUpRuleForm.Meta.fields
    list_display = [
        "currency",
        "livemode",
        "minimum",
        "maximum",
        "expires_after_days",
        "on_account",
    ]
    list_filter = ["livemode", "currency"]
    ordering = ["currency", "livemode"]
    inlines = [BonusSlabInline]

    def get_readonly_fields(self, request: HttpRequest, obj: TopUpRule | None = None) -> list[str]:
        """Return what the rule is for, which never changes."""
        return [] if obj is None else ["livemode", "currency"]
