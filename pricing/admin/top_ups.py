"""Terms of top-ups: bounds, default lifetime and bonus slabs, per currency and mode."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from aforo.adminui.admins import ModelAdmin, Sent, TabularInline
from aforo.adminui.forms import add_faults
from aforo.errors import Invalid
from pricing.admin.forms import currency_of
from pricing.catalogue import TopUpTerms
from pricing.models import BonusSlab, TopUpRule
from pricing.offerings import top_up_rules

TERMS = (
    "minimum", "maximum", "expires_after_days", "on_account", "tax_at_sale", "tax_class",
)  # fmt: skip


class TopUpRuleForm(forms.ModelForm[TopUpRule]):
    class Meta:
        model = TopUpRule
        fields = ["livemode", "currency", *TERMS]

    def clean_currency(self) -> str:
        """Check that the currency can be sold in."""
        return currency_of(self.cleaned_data["currency"])

    def clean(self) -> dict[str, Any]:
        """Check the terms by the service that writes them."""
        cleaned = super().clean() or {}
        if not self.errors:
            try:
                top_up_rules.check_top_up_terms(
                    currency=cleaned.get("currency", self.instance.currency),
                    terms=TopUpTerms(**{name: cleaned[name] for name in TERMS}),
                )
            except Invalid as error:
                add_faults(self, error)
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
        "tax_at_sale",
    ]
    list_filter = ["livemode", "currency"]
    ordering = ["currency", "livemode"]
    inlines = [BonusSlabInline]

    def get_readonly_fields(self, request: HttpRequest, obj: TopUpRule | None = None) -> list[str]:
        """Return what the rule is for, which never changes."""
        return [] if obj is None else ["livemode", "currency"]

    def add_row(self, sent: Sent) -> TopUpRule:
        """Write the terms of a currency that has none."""
        (slabs,) = sent.parts
        found = [form.cleaned_data for form in slabs.forms if form not in slabs.deleted_forms]
        return top_up_rules.set_top_up_terms(
            livemode=sent.row.livemode,
            currency=sent.row.currency,
            terms=TopUpTerms(
                **{name: sent.fields[name] for name in TERMS},
                slabs=tuple((each["from_amount"], each["bonus"]) for each in found if each),
            ),
        )

    def change_row(self, sent: Sent) -> None:
        """Write the terms in place of those before."""
        self.add_row(sent)

    def delete_row(self, row: TopUpRule) -> None:
        """Delete the terms."""
        top_up_rules.delete_top_up_terms(livemode=row.livemode, currency=row.currency)
