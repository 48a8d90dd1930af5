"""Forms in the theme's looks, and what a service refuses shown beside their fields."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from unfold.forms import AuthenticationForm
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminFileFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from aforo.errors import Invalid
from aforo.money import plain

__all__ = [
    "AuthenticationForm",
    "Form",
    "LineInput",
    "MonthField",
    "PlainDecimalField",
    "Textarea",
    "add_faults",
    "set_theme_widget",
]

Textarea = UnfoldAdminTextareaWidget
LineInput = UnfoldAdminTextInputWidget


class MonthField(forms.CharField):
    """A month, which browsers offer a calendar for: 2026-03."""


def set_theme_widget(field: forms.Field) -> forms.Field:
    """Set the theme's widget on a form's field, and return the field."""
    match field:
        case forms.BooleanField():
            field.widget = UnfoldBooleanWidget()
        case forms.MultipleChoiceField():
            field.widget = UnfoldAdminCheckboxSelectMultipleWidget(choices=field.choices)
        case forms.ChoiceField():
            field.widget = UnfoldAdminSelectWidget(choices=field.choices)
        case MonthField() | forms.DateField() | forms.DateTimeField():
            field.widget = UnfoldAdminTextInputWidget(attrs={"type": _moment_type(field)})
        case forms.CharField() if isinstance(field.widget, forms.Textarea):
            field.widget = UnfoldAdminTextareaWidget(attrs={"rows": 3})
        case forms.FileField():
            field.widget = UnfoldAdminFileFieldWidget()
        case _:
            field.widget = UnfoldAdminTextInputWidget()
    field.widget.is_required = field.required
    return field


def _moment_type(field: forms.Field) -> str:
    """Return the type of input that a browser asks a month, a day or a moment with."""
    if isinstance(field, MonthField):
        return "month"
    return "date" if isinstance(field, forms.DateField) else "datetime-local"


class Form(forms.Form):
    """A form of a page that is not a model's, in the theme's looks."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            set_theme_widget(field)


class PlainDecimalField(forms.DecimalField):
    """A decimal that is edited as 12.5, not with all its twelve places."""

    def prepare_value(self, value: Any) -> Any:
        """Write the decimal plainly."""
        return plain(value) if isinstance(value, Decimal) else value


def add_faults(form: forms.BaseForm, error: Invalid, *, field: str = "") -> None:
    """Add the faults to the fields that their pointers begin with, or to `field`."""
    for fault in error.errors:
        name = field or fault.pointer.strip("/").partition("/")[0]
        inside = fault.pointer.strip("/") != name
        text = f"{fault.pointer}: {fault.detail}" if inside and fault.pointer else fault.detail
        form.add_error(name if name in form.fields else None, text)
