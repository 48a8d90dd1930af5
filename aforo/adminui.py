"""The admin toolkit's seam: the only file that knows the theme. Falling back is changing this."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar

from django import forms
from django.contrib.auth import get_permission_codename
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.http import HttpRequest
from unfold.admin import ModelAdmin as _ModelAdmin
from unfold.admin import TabularInline as _TabularInline
from unfold.decorators import action as _action
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from aforo.money import plain

__all__ = [
    "Form",
    "ModelAdmin",
    "ReadOnlyAdmin",
    "ReadOnlyInline",
    "TabularInline",
    "Textarea",
    "action",
    "dress",
    "page_action",
    "plainly",
]

Textarea = UnfoldAdminTextareaWidget
F = TypeVar("F", bound=Callable[..., Any])


def action(*, description: str) -> Callable[[F], F]:
    """Make a method an action of its list, for those who may change such rows."""
    decorate: Callable[[F], F] = _action(description=description, permissions=["act"])
    return decorate


def page_action(*, description: str, url_path: str, permission: str = "view") -> Callable[[F], F]:
    """Make a method a page of its own, led to from the top of a row's page or of the list."""
    decorate: Callable[[F], F] = _action(
        description=description, url_path=url_path, permissions=[permission]
    )
    return decorate


def dress(field: forms.Field) -> forms.Field:
    """Give a field of a form the theme's widget, and the field back."""
    match field:
        case forms.BooleanField():
            field.widget = UnfoldBooleanWidget()
        case forms.ChoiceField():
            field.widget = UnfoldAdminSelectWidget(choices=field.choices)
        case forms.DateField():
            field.widget = UnfoldAdminTextInputWidget(attrs={"type": "date"})
        case forms.CharField() if isinstance(field.widget, forms.Textarea):
            field.widget = UnfoldAdminTextareaWidget(attrs={"rows": 3})
        case _:
            field.widget = UnfoldAdminTextInputWidget()
    field.widget.is_required = field.required
    return field


class Form(forms.Form):
    """A form of a page that is not a model's, in the theme's looks."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            dress(field)


@cache
def plainly(model: type[models.Model], name: Any) -> Any:
    """Show a decimal of the books as 12.5, not with all its twelve places; leave the rest alone."""
    try:
        field = model._meta.get_field(name) if isinstance(name, str) else None
    except FieldDoesNotExist:
        return name
    if not isinstance(field, models.DecimalField):
        return name

    def shown(row: models.Model) -> str | None:
        value = getattr(row, name)
        # Amounts with a currency of their own are shown by their library.
        return plain(value) if isinstance(value, Decimal) else value

    # The stylesheet aligns by this name.
    shown.__name__ = f"number_{name}"
    shown.short_description = field.verbose_name  # type: ignore[attr-defined]
    shown.admin_order_field = name  # type: ignore[attr-defined]
    return shown


class PlainDecimalField(forms.DecimalField):
    """A decimal that is edited as 12.5, not with all its twelve places."""

    def prepare_value(self, value: Any) -> Any:
        """Write it plainly."""
        return plain(value) if isinstance(value, Decimal) else value


class _Edited(_ModelAdmin):  # type: ignore[misc]
    """For what is edited; `when_empty` says what brings the first row."""

    when_empty = "It fills by itself as things happen."
    formfield_overrides = {models.DecimalField: {"form_class": PlainDecimalField}}

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """Show decimals plainly."""
        return [plainly(self.model, name) for name in super().get_list_display(request)]

    def get_fields(self, request: HttpRequest, obj: models.Model | None = None) -> list[Any]:
        """Show decimals plainly where they are only shown."""
        fields: list[Any] = super().get_fields(request, obj)
        is_shown = obj is not None and not self.has_change_permission(request, obj)
        return [plainly(self.model, name) for name in fields] if is_shown else fields

    def has_act_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        """Let those act who were given the permission to change, whatever a form may edit."""
        codename = get_permission_codename("change", self.opts)
        return bool(request.user.has_perm(f"{self.opts.app_label}.{codename}"))


class _EditedInline(_TabularInline):  # type: ignore[misc]
    formfield_overrides = {
        **_TabularInline.formfield_overrides,
        models.DecimalField: {
            **_TabularInline.formfield_overrides[models.DecimalField],
            "form_class": PlainDecimalField,
        },
    }


# The theme is untyped, and so are its classes under their own names.
ModelAdmin: Any = _Edited
TabularInline: Any = _EditedInline


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]
    """For what is financial: visible, searchable, changed only by actions that call services."""

    def has_add_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Refuse: rows come from services."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Refuse: rows are changed by services."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Refuse: history is kept."""
        return False


class ReadOnlyInline(TabularInline):  # type: ignore[misc]
    extra = 0
    can_delete = False
    show_change_link = True

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Show decimals plainly."""
        return [plainly(self.model, name) for name in super().get_fields(request, obj)]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Keep what is only shown out of the form."""
        shown = [name for name in self.get_fields(request, obj) if callable(name)]
        return [*super().get_readonly_fields(request, obj), *shown]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: rows come from services."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: rows are changed by services."""
        return False
