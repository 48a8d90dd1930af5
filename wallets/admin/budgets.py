"""Budgets: made, changed and ended by their services, with what they have counted."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from aforo.adminui.admins import ModelAdmin, ReadOnlyInline, Sent
from aforo.adminui.forms import LineInput, Textarea, add_faults
from aforo.errors import Invalid
from wallets.budgets import budgets
from wallets.models import Budget, BudgetChange, BudgetCounter

FIXED = ["book", "code", "match", "per", "currency", "metric", "window"]


class MatchField(forms.CharField):
    """What a budget matches, as staff write it: an attribute a line, `team = search`."""

    widget = Textarea(attrs={"rows": 3, "placeholder": "team = search"})

    def prepare_value(self, value: Any) -> Any:
        """Write each attribute on a line of its own."""
        return _lines(value) if isinstance(value, dict) else value

    def clean(self, value: Any) -> Any:
        """Read the attributes.

        Raises: ValidationError naming the first line that is none.
        """
        found: dict[str, str] = {}
        for line in super().clean(value).splitlines():
            name, sign, wanted = (part.strip() for part in line.partition("="))
            if line.strip() and not (sign and name and wanted):
                raise forms.ValidationError(f"Write {line.strip()!r} as name = value.")
            if sign:
                found[name] = wanted
        return found


class BudgetForm(forms.ModelForm[Budget]):
    match = MatchField(help_text="An attribute a line, as team = search; * is any value.")

    class Meta:
        model = Budget
        fields = [*FIXED, *budgets.CHANGED]
        widgets = {"alert_at": LineInput(attrs={"placeholder": "50, 80, 100"})}

    def clean(self) -> dict[str, Any]:
        """Check the fields by the service that writes them."""
        cleaned = super().clean() or {}
        if not self.errors:
            try:
                budgets.check_terms(cleaned)
            except Invalid as error:
                add_faults(self, error)
        return cleaned


class CounterInline(ReadOnlyInline):
    model = BudgetCounter
    fields = ["value", "starts_at", "ends_at", "used", "held"]
    ordering = ["-starts_at", "-used"]
    show_change_link = False


class ChangeInline(ReadOnlyInline):
    model = BudgetChange
    fields = ["terms", "actor_kind", "actor_id", "created_at"]
    readonly_fields = ["created_at"]
    ordering = ["-id"]
    show_change_link = False


@admin.register(Budget)
class BudgetAdmin(ModelAdmin):  # type: ignore[misc]
    """What it is for never changes; deleting it ends it, and what reservations hold stays."""

    form = BudgetForm
    fields = BudgetForm.Meta.fields
    list_display = [
        "book", "code", "matches", "per", "limit", "currency", "metric", "window", "hard", "active",
    ]  # fmt: skip
    list_filter = ["window", "hard", "active", "book__livemode"]
    list_select_related = ["book", "metric"]
    search_fields = ["book__key", "code", "name"]
    autocomplete_fields = ["book", "metric"]
    ordering = ["book__key", "code"]
    inlines = [CounterInline, ChangeInline]

    @admin.display(description="match", ordering="match")
    def matches(self, row: Budget) -> str:
        """Return what it matches, in one line."""
        return _lines(row.match).replace("\n", ", ")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Budget]:
        """Return the budgets that have not ended."""
        found: QuerySet[Budget] = super().get_queryset(request)
        return found.filter(ended_at=None)

    def get_readonly_fields(self, request: HttpRequest, obj: Budget | None = None) -> list[str]:
        """Return what the budget is for, which never changes."""
        return [] if obj is None else FIXED

    def get_inlines(self, request: HttpRequest, obj: Budget | None) -> list[Any]:
        """Return what it has counted and who changed it, once it is there."""
        return [] if obj is None else self.inlines

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, ...]:
        """Return the budgets alone: their rows stay, so nothing that belongs to them is lost."""
        return [str(each) for each in objs], {}, set(), []

    def add_row(self, sent: Sent) -> Budget:
        """Create a budget."""
        book, fields = sent.row.book, sent.fields
        return budgets.create_budget(
            livemode=book.livemode,
            customer_id=book.key,
            **_purpose(fields),
            **{name: fields[name] for name in budgets.CHANGED},
        )

    def change_row(self, sent: Sent) -> None:
        """Change what a budget allows."""
        budgets.change_budget(**_named(sent.row), changes=sent.changes)

    def delete_row(self, row: Budget) -> None:
        """End a budget."""
        budgets.end_budget(**_named(row))


def _lines(match: dict[str, str]) -> str:
    return "\n".join(f"{name} = {value}" for name, value in match.items())


def _named(row: Budget) -> dict[str, Any]:
    return {"livemode": row.book.livemode, "customer_id": row.book.key, "code": row.code}


def _purpose(fields: dict[str, Any]) -> dict[str, Any]:
    """Return what a budget is for, as the service takes it."""
    metric = fields["metric"]
    return {
        **{name: fields[name] for name in ("code", "match", "per", "currency", "window")},
        "metric": "" if metric is None else metric.code,
    }
