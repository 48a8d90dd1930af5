"""Customers, usage, settlements and invoices in the back office."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from aforo.adminui.admins import ReadOnlyAdmin, ReadOnlyInline, Sent
from aforo.adminui.forms import Textarea, add_faults
from aforo.adminui.pages import action, link, shown_once
from aforo.errors import DomainError, Invalid
from aforo.money import amount_text
from billing.admin import documents
from billing.admin.collections import CustomerActions, InvoiceActions
from billing.admin.drill_down import postings_url
from billing.customers import customers
from billing.invoicing import invoices as finalizing
from billing.invoicing import payments
from billing.jobs import due_work
from billing.models import (
    AdvanceFee,
    Claim,
    Customer,
    CycleBurn,
    ForgivenUsage,
    Invoice,
    InvoiceLine,
    InvoicePayment,
    InvoiceSeries,
    MonthEnd,
    OneTimeBenefit,
    SettlementRun,
    SettlementRunItem,
    Subscription,
    TaxExemption,
    UnbilledUsage,
    UsageEvent,
    UsageReservation,
    UsageRollup,
    WorkerHeartbeat,
)
from wallets.admin import alerts


class SubscriptionInline(ReadOnlyInline):
    model = Subscription
    fields = ["offering", "status", "billing_mode", "current_starts_at", "current_ends_at"]
    ordering = ["-created_at"]
    joined = ["offering"]


class TaxExemptionInline(ReadOnlyInline):
    model = TaxExemption
    fields = ["number", "country", "region", "valid_from", "valid_until"]
    ordering = ["-valid_from", "-pk"]


class CustomerForm(forms.ModelForm[Customer]):
    """Refuses what the API refuses, with the same sentences beside the same fields."""

    tags = forms.CharField(
        required=False, widget=Textarea(attrs={"rows": 4}), help_text="One a line."
    )

    class Meta:
        model = Customer
        fields = customers.PERSONAL

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["tags"] = "\n".join(self.instance.tags)

    def clean_tags(self) -> list[str]:
        """Return the tags, one a line."""
        return [tag.strip() for tag in self.cleaned_data["tags"].splitlines() if tag.strip()]

    def clean(self) -> dict[str, Any]:
        """Check the data by the service that the API calls."""
        cleaned = super().clean() or {}
        try:
            customers.check_personal(**cleaned)
            customers.check_collection(
                livemode=self.instance.book.livemode,
                collection_method=cleaned.get("collection_method", ""),
                payment_method=cleaned.get("payment_method", ""),
            )
        except Invalid as error:
            add_faults(self, error)
        return cleaned


@admin.register(Customer)
class CustomerAdmin(CustomerActions):
    """Personal data can be corrected here; customers are made through the API."""

    form = CustomerForm
    list_display = ["name", "book", "email", "country", "timezone", "created_at"]
    list_filter = ["book__livemode", "country"]
    list_select_related = ["book"]
    search_fields = ["book__key", "name", "email"]
    readonly_fields = ["book", "created_at", "credit", "alerts_of_wallets", "months"]
    ordering = ["-created_at"]
    inlines = [SubscriptionInline, TaxExemptionInline]
    actions = ["settle_due"]

    @admin.display(description="alerts")
    def alerts_of_wallets(self, customer: Customer) -> SafeString:
        """Return the thresholds of the customer's wallets."""
        return shown_once(customer, "alerts_shown", lambda: alerts.of_customer(customer.book))

    @admin.display(description="statements")
    def months(self, customer: Customer) -> SafeString:
        """Return links to the newest months of its credits on paper."""
        return documents.month_links(customer)

    def change_row(self, sent: Sent) -> None:
        """Change personal data."""
        book = sent.row.book
        customers.update_customer(
            livemode=book.livemode, customer_id=book.key, changes=sent.changes
        )

    @action(description="Settle what is due")
    def settle_due(self, request: HttpRequest, customers: QuerySet[Customer]) -> None:
        """Run a settlement run for each chosen customer."""
        for customer in customers.select_related("book"):
            book = customer.book
            try:
                run = due_work.settle(
                    livemode=book.livemode, as_of=None, customer_id=book.key, clock=timezone.now
                )
            except DomainError as error:
                self.message_user(request, f"{book.key}: {error.detail}", messages.ERROR)
                continue
            reasons = "; ".join(failure["reason"] for failure in run.failures)
            level = messages.ERROR if run.failed else messages.SUCCESS
            self.message_user(request, f"{book.key}: {run.settled} settled. {reasons}", level)


@admin.register(UsageEvent)
class UsageEventAdmin(ReadOnlyAdmin):
    list_display = ["book", "metric", "quantity", "occurred_at", "counted_at", "key"]
    list_filter = ["book__livemode", "occurred_at"]
    list_select_related = ["book", "metric"]
    search_fields = ["book__key", "key", "metric__code"]
    ordering = ["-id"]
    show_full_result_count = False


@admin.register(UnbilledUsage)
class UnbilledUsageAdmin(ReadOnlyAdmin):
    when_empty = "Every event that has arrived is billed to somebody."
    list_display = ["book", "metric", "event", "reason", "noted_at"]
    list_filter = ["reason", "book__livemode"]
    list_select_related = ["book", "metric", "event"]
    search_fields = ["book__key", "event__key", "metric__code"]
    ordering = ["-event"]
    show_full_result_count = False


@admin.register(UsageRollup)
class UsageRollupAdmin(ReadOnlyAdmin):
    list_display = ["subscription", "metric", "starts_at", "through", "events", "total"]
    list_select_related = ["subscription__offering", "metric"]
    search_fields = ["=subscription__id", "book__key"]
    ordering = ["-pk"]
    show_full_result_count = False


@admin.register(CycleBurn)
class CycleBurnAdmin(ReadOnlyAdmin):
    list_display = [
        "customer", "settlement", "cycle", "lot", "quantity", "kept", "carrying", "tax",
    ]  # fmt: skip
    list_select_related = ["lot", "subscription__customer__book"]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Allow the filters of a settlement's links."""
        return lookup in {"subscription__id__exact", "cycle"} or super().lookup_allowed(
            lookup, value, request
        )

    @admin.display(description="customer")
    def customer(self, burn: CycleBurn) -> str:
        """Return the customer's id."""
        return burn.subscription.customer.book.key

    @admin.display(description="settlement")
    def settlement(self, burn: CycleBurn) -> SafeString:
        """Return a link to the cycle's settlement, if it has been settled."""
        url = reverse("admin:billing_settlement_changelist")
        asked = urlencode({"q": burn.subscription_id})
        return link(f"{url}?{asked}", "Show")

    search_fields = ["=subscription__id", "=lot__id", "subscription__customer__book__key"]
    ordering = ["-pk"]
    show_full_result_count = False


@admin.register(UsageReservation)
class UsageReservationAdmin(ReadOnlyAdmin):
    list_display = [
        "reservation__book", "metric", "quantity", "captured", "reservation__status",
        "reservation__created_at", "reservation__expires_at",
    ]  # fmt: skip
    list_filter = ["reservation__status", "reservation__book__livemode", "reservation__created_at"]
    list_select_related = ["reservation__book", "metric"]
    search_fields = ["reservation__book__key", "=reservation__id"]
    ordering = ["-reservation"]
    show_full_result_count = False


@admin.register(OneTimeBenefit)
class OneTimeBenefitAdmin(ReadOnlyAdmin):
    when_empty = "Trials and once-only grants are noted here when a customer has had them."
    list_display = ["customer", "offering", "benefit", "subscription"]
    list_select_related = ["customer__book", "offering", "subscription__offering"]
    search_fields = ["customer__book__key", "offering__code", "benefit"]
    ordering = ["-pk"]
    show_full_result_count = False


@admin.register(SettlementRun)
class SettlementRunAdmin(ReadOnlyAdmin):
    when_empty = (
        "A run settles everything that is due: manage.py settle, or POST /v1/settlements/run."
    )
    list_display = ["created_at", "livemode", "book", "status", "due", "settled", "failed"]
    list_filter = ["status", "livemode"]
    list_select_related = ["book"]
    ordering = ["-created_at"]


@admin.register(SettlementRunItem)
class SettlementRunItemAdmin(ReadOnlyAdmin):
    """A run's customers, to search: a run of thousands is not shown on its own page."""

    list_display = ["run", "book", "status", "settled", "attempts", "claimed_at", "reason"]
    list_filter = ["status", "book__livemode"]
    list_select_related = ["run", "book"]
    search_fields = ["book__key", "=run__id"]
    ordering = ["-pk"]
    show_full_result_count = False


@admin.register(WorkerHeartbeat)
class WorkerHeartbeatAdmin(ReadOnlyAdmin):
    list_display = ["seen_at", "swept_at"]


@admin.register(AdvanceFee)
class AdvanceFeeAdmin(ReadOnlyAdmin):
    list_display = [
        "book", "cycle", "starts_at", "ends_at", "amount", "recognised", "recognised_through",
        "currency",
    ]  # fmt: skip
    list_filter = ["currency", "book__livemode", "ends_at"]
    list_select_related = ["book"]
    search_fields = ["book__key", "=subscription__id"]
    ordering = ["-pk"]


@admin.register(MonthEnd)
class MonthEndAdmin(ReadOnlyAdmin):
    list_display = ["subscription", "cycle", "ends_at", "usage", "fees", "reached_at"]
    list_filter = ["ends_at"]
    search_fields = ["subscription__customer__book__key"]
    ordering = ["-ends_at", "-pk"]
    list_select_related = ["subscription__offering", "subscription__customer__book"]


class InvoiceLineInline(ReadOnlyInline):
    model = InvoiceLine
    fields = ["kind", "description", "quantity", "unit_price", "amount"]
    ordering = ["position"]
    show_change_link = False


class PaymentInline(ReadOnlyInline):
    model = InvoicePayment
    fields = ["received_at", "paid_by", "reference", "amount", "applied"]
    ordering = ["received_at"]


@admin.register(InvoicePayment)
class PaymentAdmin(ReadOnlyAdmin):
    when_empty = (
        "Payments are recorded with POST /v1/invoices/NUMBER/pay, or by an action of the list"
        " of invoices."
    )
    list_display = ["invoice", "amount", "applied", "paid_by", "reference", "received_at"]
    list_filter = ["paid_by", "invoice__livemode", "received_at"]
    list_select_related = ["invoice"]
    search_fields = ["invoice__number", "reference", "=id"]
    ordering = ["-received_at"]


@admin.register(Claim)
class ClaimAdmin(ReadOnlyAdmin):
    when_empty = (
        "A claim arises when a payment is contested and lost after its credits were spent, or when"
        " a capture takes more than the credits there are."
    )
    list_display = ["book", "amount", "paid", "currency", "top_up", "debit", "created_at"]
    list_filter = ["currency", "book__livemode"]
    list_select_related = ["book", "top_up", "debit"]
    search_fields = ["book__key"]
    ordering = ["-created_at"]


@admin.register(ForgivenUsage)
class ForgivenUsageAdmin(ReadOnlyAdmin):
    when_empty = "Usage leaves its cycle when a capture takes more than the credits there are."
    list_display = ["debit", "subscription", "cycle", "net", "counted_at"]
    list_select_related = ["debit", "subscription__customer__book", "subscription__offering"]
    search_fields = ["subscription__customer__book__key", "=subscription__id"]
    ordering = ["-pk"]


@admin.register(Invoice)
class InvoiceAdmin(InvoiceActions):
    when_empty = (
        "An invoice is made when a cycle is settled, or when credits are bought on account."
    )
    list_display = ["number", "customer", "status", "total", "from_wallet", "amount_due", "due_at"]
    list_filter = ["status", "livemode", "currency", "issued_at"]
    list_select_related = ["customer"]
    search_fields = ["number", "customer__book__key", "=id"]
    ordering = ["-created_at"]
    inlines = [InvoiceLineInline, PaymentInline]
    actions = ["finalize", "record_payment"]
    readonly_fields = ["leads_to"]

    @admin.display(description="leads to")
    def leads_to(self, invoice: Invoice) -> SafeString | str:
        """Return links to the invoice's postings and to its document."""
        if not invoice.number:
            return "-"
        asked = {"customer_id": invoice.customer.book.key, "invoice": invoice.number}
        postings = link(postings_url(livemode=invoice.livemode, **asked), "its postings")
        return format_html("{}, its document: {}", postings, documents.links(invoice.pk))

    @action(description="Finalize")
    def finalize(self, request: HttpRequest, invoices: QuerySet[Invoice]) -> None:
        """Assign each chosen draft its number now."""
        for invoice in invoices:
            try:
                final = finalizing.finalize(livemode=invoice.livemode, reference=str(invoice.pk))
            except DomainError as error:
                self.message_user(request, f"{invoice}: {error.detail}", messages.ERROR)
            else:
                self.message_user(request, f"{final} is final.", messages.SUCCESS)

    @action(description="Record payment in full")
    def record_payment(self, request: HttpRequest, invoices: QuerySet[Invoice]) -> None:
        """Record that what is left of each chosen invoice was paid."""
        for invoice in invoices:
            left = invoice.open
            try:
                payments.pay(
                    livemode=invoice.livemode,
                    invoice=str(invoice.pk),
                    amount=left,
                    reference=f"Back office: {request.user}",
                    key=f"admin-pay-{invoice.pk}-{invoice.paid}",
                )
            except DomainError as error:
                self.message_user(request, f"{invoice}: {error.detail}", messages.ERROR)
            else:
                text = f"{invoice}: {amount_text(left, invoice.currency)} recorded."
                self.message_user(request, text, messages.SUCCESS)


@admin.register(InvoiceSeries)
class InvoiceSeriesAdmin(ReadOnlyAdmin):
    list_display = ["prefix", "livemode", "last_number"]
