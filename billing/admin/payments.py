"""Payments of the bank in the back office: files taken in, and what was not matched decided."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from aforo.adminui.admins import ReadOnlyAdmin, ReadOnlyInline
from aforo.adminui.forms import Form, add_faults
from aforo.adminui.pages import action, found, page_action, waiting_text
from aforo.errors import DomainError, Invalid
from billing.invoicing import bank_payments, payment_files
from billing.models import BankPayment, BankPaymentState, InvoicePayment
from ledger.models import ApprovalRequest

MODES = [("live", "Live"), ("sandbox", "Sandbox")]
SHOWN_NOTES = 20


class ImportForm(Form):
    mode = forms.ChoiceField(choices=MODES)
    file = forms.FileField(
        help_text="CSV with named columns, or camt.053. A payment is taken once, however often its "
        "file is."
    )


class AssignForm(Form):
    invoice = forms.CharField(max_length=64, help_text="The number of an open invoice.")


class SendBackForm(Form):
    reason = forms.CharField(max_length=300)


class PaidInline(ReadOnlyInline):
    model = InvoicePayment
    fields = ["invoice", "amount", "applied", "received_at"]
    ordering = ["pk"]
    verbose_name_plural = "paid with it"


@admin.register(BankPayment)
class BankPaymentAdmin(ReadOnlyAdmin):
    when_empty = "“Import a file”, above, takes what a bank says; so does POST /v1/payments."
    list_display = [
        "bank_reference", "booked_on", "amount", "currency", "payer", "text", "state", "reason",
    ]  # fmt: skip
    list_filter = ["state", "currency", "account", "livemode", "booked_on"]
    search_fields = ["bank_reference", "text", "payer", "customer_id", "=id"]
    ordering = ["-created_at", "-pk"]
    inlines = [PaidInline]
    actions = ["match_again"]
    actions_list = ["import_a_file"]
    actions_detail = ["assign", "send_back"]

    @action(description="Match again to what is open by now")
    def match_again(self, request: HttpRequest, payments: QuerySet[BankPayment]) -> None:
        """Match each chosen payment that waits, and report how many found their invoice."""
        waiting = payments.filter(state=BankPaymentState.UNMATCHED).order_by("created_at", "pk")
        matched = 0
        for payment in waiting:
            try:
                done = bank_payments.match_again(payment_id=payment.pk, now=timezone.now())
            except DomainError as error:
                self.message_user(request, f"{payment}: {error.detail}", messages.ERROR)
            else:
                matched += done.state == BankPaymentState.MATCHED
        self.message_user(request, f"{matched} matched.", messages.SUCCESS)

    @page_action(description="Import a file", url_path="import", permission="act")
    def import_a_file(self, request: HttpRequest) -> HttpResponse:
        """Render the form; take the payments of the file that is sent, and report what waits."""
        form = ImportForm(request.POST or None, request.FILES or None, initial={"mode": "live"})
        if request.method == "POST" and form.is_valid():
            try:
                done = payment_files.ask_to_import(
                    livemode=form.cleaned_data["mode"] == "live",
                    content=form.cleaned_data["file"].read(),
                    now=timezone.now(),
                )
            except DomainError as error:
                form.add_error("file", error.detail)
            else:
                if isinstance(done, ApprovalRequest):
                    self.message_user(request, waiting_text(done), messages.WARNING)
                    return HttpResponseRedirect(reverse("admin:billing_bankpayment_changelist"))
                for note in done.notes[:SHOWN_NOTES]:
                    self.message_user(request, note, messages.WARNING)
                self.message_user(request, f"{done}.", messages.SUCCESS)
                return HttpResponseRedirect(reverse("admin:billing_bankpayment_changelist"))
        return self._render(request, form, "Import a file", "Import")

    @page_action(description="Assign", url_path="assign", permission="act")
    def assign(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Assign a payment to an invoice, in the name of the user."""
        return self._ask(request, object_id, "Assign", AssignForm, bank_payments.assign)

    @page_action(description="Send back", url_path="send-back", permission="act")
    def send_back(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Record that a payment is sent back, in the name of the user."""
        return self._ask(request, object_id, "Send back", SendBackForm, bank_payments.send_back)

    def _ask(
        self,
        request: HttpRequest,
        object_id: str,
        label: str,
        form_class: type[Form],
        do: Callable[..., Any],
    ) -> HttpResponse:
        """Return a form; sent, call the service with what it says, and return to the payment."""
        payment = found(BankPayment.objects.all(), object_id)
        form = form_class(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                do(
                    livemode=payment.livemode,
                    payment_id=payment.pk,
                    now=timezone.now(),
                    **form.cleaned_data,
                )
            except Invalid as error:
                add_faults(form, error)
            except DomainError as error:
                form.add_error(None, error.detail)
            else:
                self.message_user(request, f"{payment}: {label} is done.", messages.SUCCESS)
                url = reverse("admin:billing_bankpayment_change", args=[payment.pk])
                return HttpResponseRedirect(url)
        return self._render(request, form, f"{label}: {payment}", label)

    def _render(self, request: HttpRequest, form: Form, title: str, label: str) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "form": form,
            "label": label,
        }
        return render(request, "adminui/ask.html", context)
