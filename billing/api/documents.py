"""Documents as files, `.html` and `.pdf`, of invoices and of a customer's month, and by mail."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request

from aforo.access.models import ApiScope
from aforo.api.fields import StrictSerializer
from aforo.api.rows import RowsView
from aforo.api.views import ApiView
from aforo.ids import new_id
from billing.invoicing import document_files, document_sending, invoices, month_pages
from billing.models import DocumentFile, FileFormat, Mail
from billing.settlement import settled_cycles
from wallets.api.statements import StatementQuery


def answer(file: DocumentFile) -> HttpResponse:
    """Return an issued document as a file, with its hash."""
    form = FileFormat(file.format)
    name = f"{file.document.number}.{form.lower()}"
    found = file_answer(bytes(file.content), form, name)
    found["Aforo-Document-SHA256"] = file.document.sha256
    return found


def file_answer(content: bytes, form: FileFormat, name: str) -> HttpResponse:
    """Return a file with its name; a page may load nothing and run nothing."""
    return HttpResponse(
        content,
        content_type=document_files.CONTENT_TYPES[form],
        headers={
            "Content-Disposition": f'inline; filename="{name}"',
            "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
            "X-Content-Type-Options": "nosniff",
        },
    )


class InvoiceHtmlView(ApiView):
    scope = ApiScope.BILLING
    names = {"get": "getInvoiceHtml"}
    refusals = ("unknown_invoice", "invoice_in_draft")

    def customer_of(self, **ids: Any) -> str | None:
        """Return the customer who is billed."""
        return invoices.get_invoice(livemode=self.livemode, **ids).customer.book.key

    @extend_schema(responses={(200, "text/html"): OpenApiTypes.STR})
    def get(self, request: Request, reference: str) -> HttpResponse:
        """Return an issued invoice as a page, the same bytes at every reading."""
        return answer(
            document_files.of_invoice(
                livemode=self.livemode, reference=reference, form=FileFormat.HTML
            )
        )


class InvoicePdfView(ApiView):
    scope = ApiScope.BILLING
    names = {"get": "getInvoicePdf"}
    refusals = ("unknown_invoice", "invoice_in_draft", "pdf_unavailable")

    def customer_of(self, **ids: Any) -> str | None:
        """Return the customer who is billed."""
        return invoices.get_invoice(livemode=self.livemode, **ids).customer.book.key

    @extend_schema(responses={(200, "application/pdf"): OpenApiTypes.BINARY})
    def get(self, request: Request, reference: str) -> HttpResponse:
        """Return an issued invoice as a PDF, the same bytes at every reading; 503
        `pdf_unavailable` where the server has no Pango.
        """
        return answer(
            document_files.of_invoice(
                livemode=self.livemode, reference=reference, form=FileFormat.PDF
            )
        )


class SettlementHtmlView(ApiView):
    scope = ApiScope.BILLING
    names = {"get": "getSettlementHtml"}
    refusals = ("unknown_settlement", "no_document")

    def customer_of(self, **ids: Any) -> str | None:
        """Return the customer whose cycle it settled."""
        return settled_cycles.get_settlement(livemode=self.livemode, **ids).book.key

    @extend_schema(responses={(200, "text/html"): OpenApiTypes.STR})
    def get(self, request: Request, settlement_id: UUID) -> HttpResponse:
        """Return the document of a settled cycle, its statement or its invoice, as a page."""
        found = settled_cycles.get_settlement(livemode=self.livemode, settlement_id=settlement_id)
        return answer(document_files.of_settlement(settlement=found, form=FileFormat.HTML))


class SettlementPdfView(ApiView):
    scope = ApiScope.BILLING
    names = {"get": "getSettlementPdf"}
    refusals = ("unknown_settlement", "no_document", "pdf_unavailable")

    def customer_of(self, **ids: Any) -> str | None:
        """Return the customer whose cycle it settled."""
        return settled_cycles.get_settlement(livemode=self.livemode, **ids).book.key

    @extend_schema(responses={(200, "application/pdf"): OpenApiTypes.BINARY})
    def get(self, request: Request, settlement_id: UUID) -> HttpResponse:
        """Return the document of a settled cycle, its statement or its invoice, as a PDF; 503
        `pdf_unavailable` where the server has no Pango.
        """
        found = settled_cycles.get_settlement(livemode=self.livemode, settlement_id=settlement_id)
        return answer(document_files.of_settlement(settlement=found, form=FileFormat.PDF))


class _MonthView(ApiView):
    scope = ApiScope.BILLING
    query = StatementQuery

    def answer(self, request: Request, form: FileFormat) -> HttpResponse:
        """Return the month that is asked for."""
        asked = self.asked(request)
        content = month_pages.file_of(livemode=self.livemode, form=form, **asked)
        name = f"statement-{asked['customer_id']}-{asked['period']}.{form.lower()}"
        return file_answer(content, form, name.replace('"', "_"))


class MonthHtmlView(_MonthView):
    names = {"get": "getMonthlyStatementHtml"}
    refusals = ("unknown_customer",)

    @extend_schema(
        parameters=[StatementQuery],
        responses={(200, "text/html"): OpenApiTypes.STR},
        tags=["statements"],
    )
    def get(self, request: Request) -> HttpResponse:
        """Return a customer's month of credits as a page."""
        return self.answer(request, FileFormat.HTML)


class MonthPdfView(_MonthView):
    names = {"get": "getMonthlyStatementPdf"}
    refusals = ("unknown_customer", "pdf_unavailable")

    @extend_schema(
        parameters=[StatementQuery],
        responses={(200, "application/pdf"): OpenApiTypes.BINARY},
        tags=["statements"],
    )
    def get(self, request: Request) -> HttpResponse:
        """Return a customer's month of credits as a PDF; 503 `pdf_unavailable` where the server has
        no Pango.
        """
        return self.answer(request, FileFormat.PDF)


class SendBody(StrictSerializer):
    idempotency_key = serializers.CharField(max_length=255, required=False)


class MailAnswer(serializers.ModelSerializer[Mail]):
    customer_id = serializers.CharField(source="customer.book.key")
    document = serializers.CharField(
        source="document.number", default=None, allow_null=True, help_text="The one attached."
    )
    invoice = serializers.CharField(source="invoice.number", default=None, allow_null=True)

    class Meta:
        model = Mail
        fields = [
            "id", "customer_id", "invoice", "document", "to", "subject", "status", "attached",
            "attempts", "failure", "sent_at", "created_at",
        ]  # fmt: skip


class SendInvoiceView(ApiView):
    scope = ApiScope.BILLING
    names = {"post": "sendInvoice"}
    refusals = ("unknown_invoice", "invoice_in_draft", "no_address")
    operation = "billing.invoices.send"

    @extend_schema(request=SendBody, responses={201: MailAnswer})
    def post(self, request: Request, reference: str) -> HttpResponse:
        """Mail an issued invoice to its customer again; it leaves with the next sweep."""
        body = self.read(SendBody, request)
        return self.once(
            request,
            content={"invoice": reference},
            make=lambda: (
                MailAnswer(
                    document_sending.send_invoice(
                        livemode=self.livemode, invoice=reference, key=str(new_id())
                    )
                ).data
            ),
            key=body.get("idempotency_key", ""),
        )


class MailFilter(filters.FilterSet):
    customer_id = filters.CharFilter(field_name="customer__book__key")

    class Meta:
        model = Mail
        fields = ["customer_id", "status"]


class MailsView(RowsView[Mail]):
    scope = ApiScope.BILLING
    names = {"get": "listMails"}
    serializer_class = MailAnswer
    filterset_class = MailFilter

    def get_queryset(self) -> QuerySet[Mail]:
        """Return the mails of the key's mode."""
        return Mail.objects.filter(customer__book__livemode=self.livemode)
