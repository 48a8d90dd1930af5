"""Credit units: what the company's own credits are called, and what one costs."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from aforo.adminui.admins import ModelAdmin, Sent
from aforo.adminui.forms import add_faults
from aforo.errors import Invalid
from pricing.admin.prices import PricesField
from pricing.models import CreditUnit
from pricing.offerings import credit_units


class CreditUnitForm(forms.ModelForm[CreditUnit]):
    rates = PricesField(required=False, help_text="What one costs, one a line: USD 0.01")

    class Meta:
        model = CreditUnit
        fields = [
            "livemode", "code", "name", "decimals", "rates", "tax_at_sale", "tax_class", "active",
        ]  # fmt: skip

    def clean(self) -> dict[str, Any]:
        """Check the unit by the service that writes it."""
        cleaned = super().clean() or {}
        if not self.errors:
            try:
                credit_units.check_credit_unit(
                    CreditUnit(
                        code=cleaned.get("code", self.instance.code),
                        decimals=cleaned.get("decimals", self.instance.decimals),
                        rates=cleaned["rates"],
                    )
                )
            except Invalid as error:
                add_faults(self, error)
        return cleaned


@admin.register(CreditUnit)
class CreditUnitAdmin(ModelAdmin):  # type: ignore[misc]
    """Rates count from the next sale on; what was sold keeps its own."""

    form = CreditUnitForm
    fields = CreditUnitForm.Meta.fields
    list_display = ["code", "name", "decimals", "tax_at_sale", "active", "livemode"]
    list_filter = ["livemode", "active"]
    search_fields = ["code", "name"]
    ordering = ["code", "livemode"]

    def get_readonly_fields(self, request: HttpRequest, obj: CreditUnit | None = None) -> list[str]:
        """Return what never changes; a new unit is active."""
        return ["active"] if obj is None else ["livemode", "code", "decimals"]

    def add_row(self, sent: Sent) -> CreditUnit:
        """Register the unit."""
        fields = {name: value for name, value in sent.fields.items() if name != "active"}
        return credit_units.create_credit_unit(**fields)

    def change_row(self, sent: Sent) -> None:
        """Change what of it may change."""
        credit_units.update_credit_unit(
            livemode=sent.row.livemode, code=sent.row.code, changes=sent.changes
        )
