"""Documents as files, `/v1/invoices/{reference}.html` and `.pdf`, and by mail."""

from __future__ import annotations

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
from billing.invoicing import document_files, document_sending
from billing.models import DocumentFile, FileFormat, Mail


def answer(file: DocumentFile) -> HttpResponse:
    """Return a file with its name and hash; a page may load nothing and run nothing."""
    form = FileFormat(file.format)
    return HttpResponse(
        bytes(file.content),
        content_type=document_files.CONTENT_TYPES[form],
        headers={
            "Content-Disposition": f'inline; filename="{file.document.number}.{form.lower()}"',
            "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
            "X-Content-Type-Options": "nosniff",
            "Aforo-Document-SHA256": file.document.sha256,
        },
    )


class InvoiceHtmlView(ApiView):
    scope = ApiScope.BILLING
    names = {"get": "getInvoiceHtml"}
    refusals = ("unknown_invoice", "invoice_in_draft")

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
