"""What corrects and settles an invoice, as buttons on its page, each a form and one service."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.safestring import SafeString

from aforo.adminui.admins import ModelAdmin, ReadOnlyAdmin
from aforo.adminui.forms import Form, PlainDecimalField, add_faults
from aforo.adminui.pages import found, page_action, shown_once, waiting_text
from aforo.errors import DomainError, Invalid
from aforo.ids import new_id
from aforo.money import plain
from aforo.protocol.idempotency import Answer
from billing.adjustments import credit_notes, noted_lines, voids
from billing.admin import documents
from billing.invoicing import customer_credit, document_sending, write_offs
from billing.models import CreditNote, Customer, CustomerCredit, Invoice


class KeyForm(Form):
    """A form that happens once however often it is sent, by its `key`."""

    key = forms.CharField(max_length=255)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["key"].widget = forms.HiddenInput()


class WriteOffForm(KeyForm):
    field_order = ["reason", "tax_relief"]
    reason = forms.CharField(max_length=300)
    tax_relief = forms.BooleanField(
        required=False, help_text="The law relieves the tax in it, so that it is not owed any more."
    )


class VoidForm(KeyForm):
    field_order = ["reason"]
    reason = forms.CharField(max_length=300)


class CreditNoteForm(KeyForm):
    """A form that says what a note can take back of its invoice."""

    field_order = ["amount", "lines", "reason"]
    amount = PlainDecimalField(required=False, min_value=0)
    lines = forms.MultipleChoiceField(
        required=False,
        help_text="Instead of an amount: all that is left of these, before tax.",
    )
    reason = forms.CharField(max_length=300)

    def __init__(self, invoice: Invoice, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        left, currency = credit_notes.left_of(invoice), invoice.currency
        opened = min(invoice.open, left)
        self.fields["amount"].help_text = (
            f"With its tax; empty: all {plain(left)} {currency} that is left. "
            f"{plain(opened)} comes off what is open, what is beyond it was paid and becomes the "
            "customer's credit. Fees that are not earned and credits that are not spent are taken "
            "back first, the rest lowers revenue. The note gets a number, and cannot be undone."
        )
        choices = self.fields["lines"]
        assert isinstance(choices, forms.MultipleChoiceField)
        choices.choices = [
            (line.position, f"{line.description}: {plain(rest)} {currency}")
            for line, rest in noted_lines.left_of(invoice)
        ]

    def clean(self) -> dict[str, Any]:
        """Check that not both an amount and lines are given."""
        said: dict[str, Any] = super().clean() or self.cleaned_data
        if said.get("amount") is not None and said.get("lines"):
            raise forms.ValidationError("Give an amount or lines, not both.")
        return said


class ApplyCreditForm(KeyForm):
    amount = PlainDecimalField(
        required=False, help_text="Empty: as much as is open and owed to the customer."
    )


class CreditRefundForm(KeyForm):
    field_order = ["amount", "currency", "reference", "reason"]
    amount = PlainDecimalField(min_value=0, help_text="At most what is owed to the customer.")
    currency = forms.CharField(max_length=3)
    reference = forms.CharField(max_length=200, help_text="Of the bank transfer.")
    reason = forms.CharField(max_length=300)


class InvoiceActions(ReadOnlyAdmin):
    """The buttons of an invoice's page."""

    actions_detail = ["credit_note", "void", "write_off", "apply_credit", "send"]

    @page_action(description="Credit note", url_path="credit-note")
    def credit_note(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Issue a credit note, in the name of the user."""
        invoice = found(Invoice.objects.all(), object_id)
        form = partial(CreditNoteForm, invoice)
        return self._ask(request, object_id, "Credit note", form, _credit)

    @page_action(description="Void", url_path="void")
    def void(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Void an invoice of which nothing is paid, in the name of the user."""
        return self._ask(request, object_id, "Void", VoidForm, voids.void)

    @page_action(description="Write off", url_path="write-off")
    def write_off(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Write off what is open, in the name of the user."""
        return self._ask(request, object_id, "Write off", WriteOffForm, write_offs.write_off)

    @page_action(description="Apply credit", url_path="apply-credit")
    def apply_credit(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Pay from what is owed to the customer, in the name of the user."""
        do = customer_credit.apply_credit
        return self._ask(request, object_id, "Apply credit", ApplyCreditForm, do)

    @page_action(description="Send by e-mail", url_path="send")
    def send(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Mail the invoice to its customer again."""
        return self._ask(
            request, object_id, "Send by e-mail", KeyForm, document_sending.send_invoice
        )

    def _ask(
        self,
        request: HttpRequest,
        object_id: str,
        label: str,
        form_class: Callable[..., Form],
        do: Callable[..., object],
    ) -> HttpResponse:
        invoice = found(Invoice.objects.select_related("customer__book"), object_id)
        return asked(
            self,
            request,
            invoice,
            title=f"{label}: {invoice}, {invoice.customer.book.key}",
            label=label,
            form_class=form_class,
            do=partial(do, livemode=invoice.livemode, invoice=str(invoice.pk)),
        )


class CustomerActions(ModelAdmin):  # type: ignore[misc]
    """The buttons of a customer's page, and what is owed to the customer."""

    actions_detail = ["refund_credit"]

    @admin.display(description="owed to the customer")
    def credit(self, customer: Customer) -> str:
        """Return what is owed to the customer and not yet used."""

        def owed() -> str:
            totals = customer_credit.totals(customer.book)
            return ", ".join(f"{plain(of)} {currency}" for currency, of in totals.items()) or "-"

        return shown_once(customer, "credit_shown", owed)

    @page_action(description="Pay credit out", url_path="refund-credit")
    def refund_credit(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Record that what is owed was paid out, in the name of the user."""
        customer = found(Customer.objects.select_related("book"), object_id)
        book = customer.book
        return asked(
            self,
            request,
            customer,
            title=f"Pay credit out: {book.key}",
            label="Pay credit out",
            form_class=CreditRefundForm,
            do=partial(customer_credit.refund_credit, livemode=book.livemode, customer_id=book.key),
            # Money leaves: who may correct a customer's address may not do that.
            permission="billing.change_customercredit",
        )


@admin.register(CreditNote)
class CreditNoteAdmin(ReadOnlyAdmin):
    when_empty = "A credit note is issued on an invoice's page, or by a correction of its cycle."
    list_display = ["number", "customer", "invoice", "amount", "tax", "credited", "returned"]
    list_filter = ["livemode", "currency", "issued_at"]
    list_select_related = ["customer", "invoice"]
    search_fields = ["number", "customer__book__key", "invoice__number", "=id"]
    ordering = ["-created_at", "-pk"]
    readonly_fields = ["document"]

    @admin.display(description="document")
    def document(self, note: CreditNote) -> SafeString | str:
        """Return links to the note as a page and as a PDF."""
        return documents.links(note.pk) if note.number else "-"


@admin.register(CustomerCredit)
class CustomerCreditAdmin(ReadOnlyAdmin):
    when_empty = "Credit notes of paid invoices, and what was paid too much, are owed to customers."
    list_display = ["book", "account", "amount", "currency", "entry"]
    list_filter = ["account", "currency", "book__livemode"]
    list_select_related = ["book", "entry"]
    search_fields = ["book__key", "=entry__id"]
    ordering = ["-pk"]


def _credit(*, lines: list[str], **said: Any) -> object:
    parts = [noted_lines.LinePart(int(position)) for position in lines]
    return credit_notes.credit(parts=parts, **said)


def asked(
    page: Any,
    request: HttpRequest,
    row: models.Model,
    *,
    title: str,
    label: str,
    form_class: Callable[..., Form],
    do: Callable[..., object],
    permission: str = "",
) -> HttpResponse:
    """Return a form; sent, call the service with what it says, and return to the row's page.

    It is for who may change such rows, or has the permission that is named. An answer with the
    status 202 waits for a second person.
    """
    name = f"billing_{row._meta.model_name}"
    if not request.user.has_perm(permission or f"billing.change_{row._meta.model_name}"):
        raise PermissionDenied
    form = form_class(request.POST or None, initial={"key": f"admin-{new_id()}"})
    if request.method == "POST" and form.is_valid():
        try:
            done = do(**form.cleaned_data)
        except Invalid as error:
            add_faults(form, error)
        except DomainError as error:
            form.add_error(None, error.detail)
        else:
            if isinstance(done, Answer) and done.status == 202:
                page.message_user(request, waiting_text(f"{row}: {label}"), messages.WARNING)
            else:
                page.message_user(request, f"{row}: {label} is done.", messages.SUCCESS)
            return HttpResponseRedirect(reverse(f"admin:{name}_change", args=[row.pk]))
    context = {
        **page.admin_site.each_context(request),
        "title": title,
        "opts": page.opts,
        "form": form,
        "label": label,
    }
    return render(request, "adminui/ask.html", context)
