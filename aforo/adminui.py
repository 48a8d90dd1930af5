"""The only file that imports the admin theme; another theme means changing this file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import cache
from typing import Any, Final, TypeVar

from django import forms
from django.contrib.auth import get_permission_codename
from django.core.exceptions import FieldDoesNotExist, ObjectDoesNotExist, ValidationError
from django.db import models
from django.forms import BaseInlineFormSet
from django.http import Http404, HttpRequest
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from unfold.admin import ModelAdmin as _ModelAdmin
from unfold.admin import TabularInline as _TabularInline
from unfold.decorators import action as _action
from unfold.forms import AuthenticationForm
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from aforo.money import plain

__all__ = [
    "AuthenticationForm",
    "Form",
    "ModelAdmin",
    "ReadOnlyAdmin",
    "ReadOnlyInline",
    "TabularInline",
    "Textarea",
    "action",
    "found",
    "link",
    "page_action",
    "plain_column",
    "set_theme_widget",
    "table",
]

Textarea = UnfoldAdminTextareaWidget
F = TypeVar("F", bound=Callable[..., Any])
M = TypeVar("M", bound=models.Model)
# An inline shows at most this many rows; the rest is on the list of the rows themselves.
SHOWN_ROWS: Final = 50


def action(*, description: str) -> Callable[[F], F]:
    """Return a decorator for an action of a list, for those who may change its rows."""
    decorate: Callable[[F], F] = _action(description=description, permissions=["act"])
    return decorate


def page_action(*, description: str, url_path: str, permission: str = "view") -> Callable[[F], F]:
    """Return a decorator for a page of its own, with a button on a row's page or on the list."""
    decorate: Callable[[F], F] = _action(
        description=description, url_path=url_path, permissions=[permission]
    )
    return decorate


def link(url: str, text: object) -> SafeString:
    """Return a link in the theme's looks."""
    return format_html(
        '<a href="{}" class="text-primary-600 dark:text-primary-500">{}</a>', url, text
    )


def table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> SafeString:
    """Return a table to be shown in place of a field."""
    shown = {"table": {"headers": headers, "rows": rows}, "striped": 1}
    return mark_safe(render_to_string("unfold/components/table.html", shown))  # noqa: S308


def set_theme_widget(field: forms.Field) -> forms.Field:
    """Set the theme's widget on a form's field, and return the field."""
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
            set_theme_widget(field)


def found(rows: models.QuerySet[M], object_id: object) -> M:
    """Return the row of an address; 404 also where the address can be no row's."""
    try:
        return rows.get(pk=object_id)
    except (ObjectDoesNotExist, ValidationError, ValueError) as error:
        raise Http404(f"There is no {rows.model._meta.verbose_name} {object_id}.") from error


@cache
def plain_column(model: type[models.Model], name: Any) -> Any:
    """Return a column that shows a decimal of the books as 12.5, not with twelve places, and the
    mode by its name; other fields are returned unchanged.
    """
    try:
        field = model._meta.get_field(name) if isinstance(name, str) else None
    except FieldDoesNotExist:
        return name
    is_mode = isinstance(field, models.BooleanField) and name == "livemode"
    if not isinstance(field, models.DecimalField) and not is_mode:
        return name
    title = "mode" if is_mode else field.verbose_name  # type: ignore[union-attr]

    def shown(row: models.Model) -> str | None:
        value = getattr(row, name)
        if is_mode:
            return "live" if value else "sandbox"
        # Amounts with a currency of their own are shown by their library.
        return plain(value) if isinstance(value, Decimal) else value

    # The stylesheet aligns numbers by this name.
    shown.__name__ = name if is_mode else f"number_{name}"
    shown.short_description = title  # type: ignore[attr-defined]
    shown.admin_order_field = name  # type: ignore[attr-defined]
    return shown


class PlainDecimalField(forms.DecimalField):
    """A decimal that is edited as 12.5, not with all its twelve places."""

    def prepare_value(self, value: Any) -> Any:
        """Write the decimal plainly."""
        return plain(value) if isinstance(value, Decimal) else value


class _Edited(_ModelAdmin):  # type: ignore[misc]
    """The base of admins that edit; `when_empty` says how the first row comes about."""

    when_empty = "It fills by itself as things happen."
    formfield_overrides = {models.DecimalField: {"form_class": PlainDecimalField}}

    def formfield_for_dbfield(
        self, db_field: models.Field[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> forms.Field | None:
        """Return the field, with the mode explained."""
        field: forms.Field | None = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and db_field.name == "livemode":
            field.label, field.help_text = "Live", "Off: the sandbox."
        return field

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """Return the columns, with decimals written plainly."""
        return [plain_column(self.model, name) for name in super().get_list_display(request)]

    def get_fields(self, request: HttpRequest, obj: models.Model | None = None) -> list[Any]:
        """Return the fields, with decimals written plainly where they are read-only."""
        fields: list[Any] = super().get_fields(request, obj)
        is_shown = obj is not None and not self.has_change_permission(request, obj)
        return [plain_column(self.model, name) for name in fields] if is_shown else fields

    def _filter_actions_by_permissions(
        self, request: HttpRequest, actions: Sequence[tuple[Any, ...]]
    ) -> list[tuple[Any, ...]]:
        """Return the actions that the user may run; where none is named, changing is needed."""
        allowed = super()._filter_actions_by_permissions(request, actions)
        if self.has_act_permission(request):
            return list(allowed)
        return [each for each in allowed if hasattr(each[0], "allowed_permissions")]

    def has_act_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        """Return whether the user may change such rows, whatever a form may edit."""
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
        """Return False: rows come from services."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Return False: rows are changed by services."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Return False: history is kept."""
        return False


class _FirstRows(BaseInlineFormSet[Any, Any, Any]):
    """The rows of an inline, as many as a page can bear."""

    def get_queryset(self) -> models.QuerySet[Any]:
        """Read no more rows than are shown."""
        if not hasattr(self, "_queryset"):
            self._queryset: models.QuerySet[Any] = super().get_queryset()[:SHOWN_ROWS]
        return self._queryset


class ReadOnlyInline(TabularInline):  # type: ignore[misc]
    """The rows that belong to the one on the page: the first by `ordering`, with the relations in
    `joined` read along.
    """

    extra = 0
    can_delete = False
    show_change_link = True
    formset = _FirstRows
    joined: Sequence[str] = ()

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        """Read the rows together with those that `joined` names."""
        rows: models.QuerySet[Any] = super().get_queryset(request)
        return rows.select_related(*self.joined)

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        """Return the formset; its heading says when there are more rows than it shows."""
        formset = super().get_formset(request, obj, **kwargs)
        if obj is not None:
            rows = self.model._default_manager.filter(**{formset.fk.name: obj.pk})
            if rows.order_by()[: SHOWN_ROWS + 1].count() > SHOWN_ROWS:
                more = f"(the first {SHOWN_ROWS} of more)"
                self.verbose_name_plural: str = f"{self.opts.verbose_name_plural} {more}"
        return formset

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Return the fields, with decimals written plainly."""
        return [plain_column(self.model, name) for name in super().get_fields(request, obj)]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Return the read-only fields, with the columns that are written plainly."""
        shown = [name for name in self.get_fields(request, obj) if callable(name)]
        return [*super().get_readonly_fields(request, obj), *shown]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: rows come from services."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: rows are changed by services."""
        return False
