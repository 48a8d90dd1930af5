"""Dunning in the back office: overdue invoices, reminders, the schedule, and mail."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils import timezone

from aforo.adminui.admins import ModelAdmin, ReadOnlyAdmin, ReadOnlyInline, Sent
from aforo.adminui.forms import LineInput, add_faults
from aforo.adminui.pages import action
from aforo.errors import DomainError, Invalid
from aforo.ids import new_id
from aforo.money import amount_text
from aforo.sandbox.services import now_for
from billing import mail
from billing.dunning import pauses, reminders, schedules
from billing.models import (
    DunningPause,
    DunningSchedule,
    Invoice,
    InvoiceCharge,
    InvoiceStatus,
    Mail,
    OverdueInvoice,
    Reminder,
)

PAUSE = timedelta(days=14)


class ReminderInline(ReadOnlyInline):
    model = Reminder
    fields = ["occurred_at", "day", "action", "open", "actor_kind"]
    ordering = ["-pk"]


@admin.register(OverdueInvoice)
class OverdueInvoiceAdmin(ReadOnlyAdmin):
    when_empty = "No invoice is overdue."
    list_display = ["number", "customer", "left", "due_at", "days", "reminded", "paused_until"]
    list_filter = ["livemode", "currency", "due_at"]
    list_select_related = ["customer__book__test_clock"]
    search_fields = ["number", "customer__book__key"]
    ordering = ["due_at", "pk"]
    inlines = [ReminderInline]
    actions = ["send_again", "pause", "resume"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Invoice]:
        """Return the open invoices that are due at their customers' time."""
        rows: QuerySet[Invoice] = super().get_queryset(request)
        now = Coalesce("customer__book__test_clock__now", timezone.now())
        due = rows.filter(status=InvoiceStatus.OPEN, due_at__lte=now)
        return due.prefetch_related("reminders", "customer__dunning_pauses")

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Invoice | None:
        """Return the invoice, also when it is overdue no longer: links outlive a payment."""
        try:
            return OverdueInvoice.objects.filter(pk=object_id).first()
        except ValidationError:
            return None

    @admin.display(description="open")
    def left(self, invoice: Invoice) -> str:
        """Return what is open."""
        return f"{amount_text(invoice.open, invoice.currency)} {invoice.currency}"

    @admin.display(description="days overdue", ordering="due_at")
    def days(self, invoice: Invoice) -> int:
        """Return for how many whole days it has been overdue."""
        assert invoice.due_at is not None, "an issued invoice is due some day"
        return (now_for(invoice.customer.book) - invoice.due_at).days

    @admin.display(description="last reminder")
    def reminded(self, invoice: Invoice) -> str:
        """Return the last step that was done."""
        last = max(invoice.reminders.all(), key=lambda each: each.pk, default=None)
        return "-" if last is None else f"day {last.day}, {last.get_action_display().lower()}"

    @admin.display(description="paused until")
    def paused_until(self, invoice: Invoice) -> str:
        """Return until when its customer is not reminded."""
        rows = invoice.customer.dunning_pauses.all()
        newest = max(rows, key=lambda each: each.pk, default=None)
        until = None if newest is None else newest.until
        is_paused = until is not None and until > now_for(invoice.customer.book)
        return f"{until:%Y-%m-%d %H:%M}" if is_paused else "-"

    @action(description="Send the last reminder again")
    def send_again(self, request: HttpRequest, invoices: QuerySet[Invoice]) -> None:
        """Send the last reminder of each chosen invoice again."""
        for invoice in invoices:
            try:
                reminders.send_again(
                    livemode=invoice.livemode, invoice=str(invoice.pk), key=str(new_id())
                )
            except DomainError as error:
                self.message_user(request, f"{invoice}: {error.detail}", messages.ERROR)
            else:
                self.message_user(request, f"{invoice}: sent again.", messages.SUCCESS)

    @action(description="Pause dunning of the customer for 14 days")
    def pause(self, request: HttpRequest, invoices: QuerySet[Invoice]) -> None:
        """Pause the dunning of each chosen customer."""
        for book in {invoice.customer.book for invoice in invoices}:
            until = now_for(book) + PAUSE
            pauses.pause(
                livemode=book.livemode, customer_id=book.key, until=until, reason="Back office"
            )
            text = f"{book.key}: no reminders until {until:%Y-%m-%d}."
            self.message_user(request, text, messages.SUCCESS)

    @action(description="Resume dunning of the customer")
    def resume(self, request: HttpRequest, invoices: QuerySet[Invoice]) -> None:
        """End the pause of each chosen customer."""
        for book in {invoice.customer.book for invoice in invoices}:
            try:
                pauses.resume(livemode=book.livemode, customer_id=book.key, reason="Back office")
            except DomainError as error:
                self.message_user(request, f"{book.key}: {error.detail}", messages.ERROR)
            else:
                self.message_user(request, f"{book.key}: reminded again.", messages.SUCCESS)


@admin.register(Reminder)
class ReminderAdmin(ReadOnlyAdmin):
    when_empty = "The sweep reminds of invoices once they are due."
    list_display = ["invoice", "customer", "day", "action", "open", "occurred_at"]
    list_filter = ["action", "invoice__livemode", "occurred_at"]
    list_select_related = ["invoice__customer"]
    search_fields = ["invoice__number", "invoice__customer__book__key"]
    ordering = ["-pk"]

    @admin.display(description="customer")
    def customer(self, reminder: Reminder) -> str:
        """Return the customer's name."""
        return str(reminder.invoice.customer)


@admin.register(InvoiceCharge)
class InvoiceChargeAdmin(ReadOnlyAdmin):
    when_empty = (
        "Invoices of customers whose payment method is charged are charged as they are issued, and"
        " with each reminder."
    )
    list_display = [
        "invoice", "attempt", "amount", "currency", "method", "status", "created_at",
        "concluded_at",
    ]  # fmt: skip
    list_filter = ["status", "invoice__livemode", "created_at"]
    list_select_related = ["invoice"]
    search_fields = ["invoice__number", "invoice__customer__book__key", "=id"]
    ordering = ["-pk"]


@admin.register(DunningPause)
class DunningPauseAdmin(ReadOnlyAdmin):
    when_empty = "Dunning is paused by an action of the list of overdue invoices, or by the API."
    list_display = ["customer", "until", "reason", "actor_kind", "created_at"]
    list_filter = ["customer__book__livemode"]
    list_select_related = ["customer"]
    search_fields = ["customer__book__key"]
    ordering = ["-pk"]


class DunningScheduleForm(forms.ModelForm[DunningSchedule]):
    """Refuses what the API refuses."""

    class Meta:
        model = DunningSchedule
        fields = ["livemode", "reminder_days", "suspend_day"]
        widgets = {"reminder_days": LineInput(attrs={"placeholder": "0, 3, 7"})}
        help_texts = {
            "reminder_days": "Days after an invoice is due.",
            "suspend_day": "The day on which the customer is suspended; empty: never.",
        }

    def clean(self) -> dict[str, Any]:
        """Check the days by the service that the API calls."""
        cleaned = super().clean() or {}
        if not self.errors:
            try:
                schedules.check(cleaned["reminder_days"], cleaned["suspend_day"])
            except Invalid as error:
                add_faults(self, error)
        return cleaned


@admin.register(DunningSchedule)
class DunningScheduleAdmin(ModelAdmin):  # type: ignore[misc]
    """A schedule is added, never edited: the newest of a mode is in force."""

    when_empty = "Without one, invoices are reminded of 0, 3 and 7 days after they are due."
    form = DunningScheduleForm
    list_display = ["created_at", "livemode", "reminder_days", "suspend_day", "actor_kind"]
    list_filter = ["livemode"]
    ordering = ["-pk"]

    def add_row(self, sent: Sent) -> DunningSchedule:
        """Write the schedule, which is in force from now on."""
        return schedules.change(**sent.fields)


@admin.register(Mail)
class MailAdmin(ReadOnlyAdmin):
    when_empty = "Mail is written with documents and reminders."
    list_display = ["subject", "customer", "to", "status", "sent_at", "attached", "failure"]
    list_filter = ["status", "customer__book__livemode", "created_at"]
    list_select_related = ["customer"]
    search_fields = ["to", "subject", "customer__book__key"]
    ordering = ["-created_at"]
    actions = ["send_again"]

    @action(description="Send what was not sent")
    def send_again(self, request: HttpRequest, mails: QuerySet[Mail]) -> None:
        """Queue each chosen mail that failed, or that has an address by now."""
        queued = sum(mail.send_again(each, now=timezone.now()) for each in mails)
        self.message_user(request, f"{queued} queued.", messages.SUCCESS)
