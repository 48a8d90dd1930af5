"""Documents as files: `/v1/invoices/{reference}.html` and `.pdf`."""

from __future__ import annotations

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from aforo.access.models import ApiScope
from aforo.api.views import ApiView
from billing.invoicing import document_files
from billing.models import DocumentFile, FileFormat


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
