"""What corrects and settles an invoice, as buttons on its page, each a form and one service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse

from aforo.adminui.admins import ReadOnlyAdmin
from aforo.adminui.forms import Form, add_faults
from aforo.adminui.pages import found, page_action
from aforo.errors import DomainError, Invalid
from aforo.ids import new_id
from billing.invoicing import write_offs
from billing.models import Invoice


class ReasonForm(Form):
    """Why it is done; `key` makes it happen once however often it is sent."""

    reason = forms.CharField(max_length=300)
    key = forms.CharField(max_length=255)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["key"].widget = forms.HiddenInput()


class WriteOffForm(ReasonForm):
    field_order = ["reason", "tax_relief"]
    tax_relief = forms.BooleanField(
        required=False, help_text="The law relieves the tax in it, so that it is not owed any more."
    )


class InvoiceActions(ReadOnlyAdmin):
    """The buttons of an invoice's page."""

    actions_detail = ["write_off"]

    @page_action(description="Write off", url_path="write-off")
    def write_off(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Write off what is open, in the name of the user."""
        return self._ask(request, object_id, "Write off", WriteOffForm, write_offs.write_off)

    def _ask(
        self,
        request: HttpRequest,
        object_id: str,
        label: str,
        form_class: type[Form],
        do: Callable[..., object],
    ) -> HttpResponse:
        """Return a form; sent, call the service with what it says, and return to the invoice."""
        invoice = found(Invoice.objects.select_related("customer__book"), object_id)
        if not request.user.has_perm("billing.change_invoice"):
            raise PermissionDenied
        form = form_class(request.POST or None, initial={"key": f"admin-{new_id()}"})
        if request.method == "POST" and form.is_valid():
            try:
                do(livemode=invoice.livemode, invoice=str(invoice.pk), **form.cleaned_data)
            except Invalid as error:
                add_faults(form, error)
            except DomainError as error:
                form.add_error(None, error.detail)
            else:
                self.message_user(request, f"{invoice}: {label} is done.", messages.SUCCESS)
                url = reverse("admin:billing_invoice_change", args=[invoice.pk])
                return HttpResponseRedirect(url)
        context = {
            **self.admin_site.each_context(request),
            "title": f"{label}: {invoice}, {invoice.customer.book.key}",
            "opts": self.opts,
            "form": form,
            "label": label,
        }
        return render(request, "adminui/ask.html", context)
