"""Packs: offered here, and changed by a new version of the same code."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from aforo.adminui.admins import ModelAdmin, Sent
from aforo.adminui.forms import add_faults
from aforo.adminui.pages import action
from aforo.errors import Invalid
from pricing.admin.prices import PricesField
from pricing.models import Pack
from pricing.offerings import packs


class PackForm(forms.ModelForm[Pack]):
    prices = PricesField(help_text="What it costs, one a line: USD 10.00")

    class Meta:
        model = Pack
        fields = ["livemode", "code", "unit", *packs.TERMS]

    def clean(self) -> dict[str, Any]:
        """Check the pack by the service that writes it."""
        cleaned = super().clean() or {}
        if not self.errors:
            try:
                packs.check_pack(Pack(**cleaned))
            except Invalid as error:
                add_faults(self, error)
        return cleaned


@admin.register(Pack)
class PackAdmin(ModelAdmin):  # type: ignore[misc]
    """A version never changes; the next one is added in its place."""

    form = PackForm
    fields = PackForm.Meta.fields
    list_display = [
        "code", "version", "name", "unit", "quantity", "bonus_quantity", "archived_at", "livemode",
    ]  # fmt: skip
    list_filter = ["livemode", "unit"]
    list_select_related = ["unit"]
    search_fields = ["code", "name"]
    ordering = ["code", "livemode", "-version"]
    actions = ["archive"]

    def add_row(self, sent: Sent) -> Pack:
        """Create a pack, or the next version of the one that has the code."""
        fields = dict(sent.fields)
        unit, code, livemode = fields.pop("unit"), fields.pop("code"), fields.pop("livemode")
        offered = Pack.objects.filter(livemode=livemode, code=code, unit=unit, archived_at=None)
        if offered.exists():
            return packs.change_pack(livemode=livemode, code=code, changes=fields)
        return packs.create_pack(livemode=livemode, code=code, unit=unit.code, **fields)

    @action(description="Offer no more")
    def archive(self, request: HttpRequest, chosen: QuerySet[Pack]) -> None:
        """Archive the chosen packs, all versions of each."""
        now = timezone.now()
        named = {(pack.livemode, pack.code) for pack in chosen if pack.archived_at is None}
        for livemode, code in sorted(named):
            packs.archive_pack(livemode=livemode, code=code, now=now)
        self.message_user(request, f"{len(named)} packs archived.", messages.SUCCESS)
