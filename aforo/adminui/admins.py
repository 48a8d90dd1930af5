"""The bases of the admins: rows are read, or written by the services behind the forms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.contrib.auth import get_permission_codename
from django.contrib.auth.models import AbstractBaseUser
from django.db import models, transaction
from django.forms import BaseInlineFormSet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.admin import ModelAdmin as _ModelAdmin
from unfold.admin import TabularInline as _TabularInline

from aforo.adminui.forms import PlainDecimalField
from aforo.adminui.pages import plain_column, waiting_text
from aforo.errors import DomainError

# An inline shows at most this many rows; the rest is on the list of the rows themselves.
SHOWN_ROWS: Final = 50


class _Themed(_ModelAdmin):  # type: ignore[misc]
    """The base of all admins; `when_empty` says how the first row comes about."""

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


def acting_user(request: HttpRequest) -> AbstractBaseUser:
    """Return the user who acts; nobody gets into the back office anonymously."""
    assert isinstance(request.user, AbstractBaseUser)
    return request.user


def _wait(request: HttpRequest, what: object) -> None:
    """Note on a request what it asked for and what waits for a second person."""
    vars(request)["waiting"] = what


def _waiting(request: HttpRequest) -> object:
    return vars(request).get("waiting")


@dataclass(frozen=True, slots=True)
class Sent:
    """What a person sent with a valid form: the row as the form has filled it in, which is not
    written, its fields, those that were changed, and the formsets of the inlines.
    """

    by: AbstractBaseUser
    row: Any
    fields: dict[str, Any]
    changes: dict[str, Any]
    parts: list[Any]


class _Edited(_Themed):
    """The base of our own admins: what a form sends is written by a service.

    A subclass has a method for each of `add_row(sent)`, which returns the new row,
    `change_row(sent)` and `delete_row(row)` that it offers; without one nobody has the permission.
    What a service refuses is shown, and nothing is written. Where the service lets it wait for a
    second person, the method returns what waits (`add_row` instead of the row), which is shown.
    """

    add_row: Any = None
    change_row: Any = None
    delete_row: Any = None

    def has_add_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Return whether a service adds such rows, and the user may."""
        return self.add_row is not None and bool(super().has_add_permission(request))

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Return whether a service changes such rows, and the user may."""
        return self.change_row is not None and bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Return whether a service deletes such rows, and the user may."""
        return self.delete_row is not None and bool(super().has_delete_permission(request, obj))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001
        """Write nothing: `save_related` has the rows of the inlines too."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:  # noqa: FBT001
        """Write what was sent, with the rows of the inlines, by the service behind the form."""
        fields = dict(form.cleaned_data)
        changes = {name: fields[name] for name in form.changed_data}
        sent = Sent(acting_user(request), form.instance, fields, changes, list(formsets))
        made = self.change_row(sent) if change else self.add_row(sent)
        if made is None:
            return
        if not isinstance(made, self.model._meta.concrete_model):
            _wait(request, made)
        elif not change:
            form.instance.pk = made.pk

    def delete_model(self, request: HttpRequest, obj: models.Model) -> None:
        """Delete the row by its service."""
        waits = self.delete_row(obj)
        if waits is not None:
            _wait(request, waits)

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> None:
        """Record in the history that a row was added, if it was."""
        if not _waiting(request):
            super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> None:
        """Record in the history that a row was changed, if it was."""
        if not _waiting(request):
            super().log_change(request, obj, message)

    def response_add(self, request: HttpRequest, obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Return to the list where it waits, else what follows an addition."""
        if _waiting(request):
            return self._to_list(request)
        return super().response_add(request, obj, *args, **kwargs)

    def response_change(self, request: HttpRequest, obj: Any) -> Any:
        """Return to the list where it waits, else what follows a change."""
        return (
            self._to_list(request) if _waiting(request) else super().response_change(request, obj)
        )

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: object) -> Any:
        """Return to the list where it waits, else what follows a deletion."""
        if _waiting(request):
            return self._to_list(request)
        return super().response_delete(request, obj_display, obj_id)

    def _to_list(self, request: HttpRequest) -> HttpResponse:
        """Return to the list, which says what waits for a second person."""
        self.message_user(request, waiting_text(_waiting(request)), messages.WARNING)
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"
        return HttpResponseRedirect(reverse(name))

    def delete_queryset(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> None:
        """Delete the chosen rows by their service, all or none."""
        with transaction.atomic():
            for row in queryset:
                self.delete_row(row)

    def construct_change_message(
        self,
        request: HttpRequest,
        form: Any,
        formsets: Any,
        add: bool = False,  # noqa: FBT001, FBT002
    ) -> Any:
        """Return which fields were changed, and which inlines; services write the rows of these."""
        message = super().construct_change_message(request, form, None, add)
        parts = [
            str(each.model._meta.verbose_name_plural)
            for each in formsets or ()
            if each.has_changed()
        ]
        return message if add or not parts else [*message, {"changed": {"fields": parts}}]

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Render the form, or write what was sent; show what the service refuses."""
        return self._or_refusal(request, super().changeform_view, *args, **kwargs)

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Ask before the row is deleted, then delete it; show what the service refuses."""
        return self._or_refusal(request, super().delete_view, *args, **kwargs)

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Render the list, or run an action; show what the service of a deletion refuses."""
        return self._or_refusal(request, super().changelist_view, *args, **kwargs)

    def _or_refusal(
        self, request: HttpRequest, view: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Return what a view answers; the page again, with the sentence, where it is refused."""
        try:
            answer: HttpResponse = view(request, *args, **kwargs)
        except DomainError as error:
            self.message_user(request, error.detail, messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())
        return answer


class _EditedInline(_TabularInline):  # type: ignore[misc]
    formfield_overrides = {
        **_TabularInline.formfield_overrides,
        models.DecimalField: {
            **_TabularInline.formfield_overrides[models.DecimalField],
            "form_class": PlainDecimalField,
        },
    }

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Return the fields, with decimals written plainly where nobody can type them."""
        typed = self.has_change_permission(request, obj) or self.has_add_permission(request, obj)
        if self.fields is None or typed:
            return list(super().get_fields(request, obj))
        return [plain_column(self.model, name) for name in self.fields]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Return the read-only fields, with the columns that are written plainly."""
        # Where none are named, Django finds them by the form, which asks for those read-only.
        named = [] if self.fields is None else self.get_fields(request, obj)
        return [*super().get_readonly_fields(request, obj), *filter(callable, named)]


# The theme is untyped, and so are its classes under their own names. Models of the framework and
# its packages are written by their own forms, in our looks only.
ThemedAdmin: Any = _Themed
ModelAdmin: Any = _Edited
TabularInline: Any = _EditedInline


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]
    """For what is financial: visible, searchable, changed only by actions that call services."""


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

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: rows come from services."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: rows are changed by services."""
        return False
