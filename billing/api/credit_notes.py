"""`/v1/credit-notes`, and the notes of an invoice."""

from __future__ import annotations

from typing import Any

from django.db.models import F, QuerySet
from django.db.models.functions import Greatest
from django.http import HttpResponse
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.access.models import ApiScope
from aforo.api.fields import DecimalField, StrictSerializer
from aforo.api.idempotency import respond
from aforo.api.rows import RowsView
from aforo.api.views import ApiView
from aforo.money import ZERO
from billing.adjustments import credit_notes
from billing.adjustments.noted_lines import LinePart
from billing.api.documents import answer
from billing.invoicing import credit_note_documents, document_files
from billing.models import CreditNote, FileFormat
from wallets.api.shapes import ApprovalAnswer


class NotedLineBody(StrictSerializer):
    line = serializers.IntegerField(
        min_value=0, max_value=32_767, help_text="Its `position` in the invoice's lines."
    )
    amount = DecimalField(
        positive=True, required=False, help_text="Before tax; else all that is left of it."
    )


class CreditNoteBody(StrictSerializer):
    amount = DecimalField(
        positive=True, required=False, help_text="With its tax; with neither this nor lines, all."
    )
    lines = serializers.ListField(
        child=NotedLineBody(), min_length=1, max_length=100, required=False
    )
    reason = serializers.CharField(max_length=300)
    idempotency_key = serializers.CharField(max_length=255, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Check that not both an amount and lines are given."""
        if "amount" in attrs and "lines" in attrs:
            raise serializers.ValidationError(
                {"lines": ["Give an amount or lines, not both."]}, code="invalid"
            )
        return attrs


class NotedLine(serializers.Serializer[Any]):
    line = serializers.CharField(required=False, help_text="Its `position` in the invoice.")
    description = serializers.CharField()
    amount = serializers.CharField(help_text="Before tax.")


class CreditNoteAnswer(serializers.ModelSerializer[CreditNote]):
    customer_id = serializers.CharField(source="customer.book.key")
    invoice = serializers.CharField(source="invoice.number")
    adjustment = serializers.UUIDField(
        source="adjustment_id", allow_null=True, help_text="The correction that it is of."
    )
    amount = DecimalField(help_text="With its tax.")
    tax = DecimalField()
    earned = DecimalField(help_text="What lowers revenue (4910).")
    unearned = DecimalField(help_text="Fees in advance that nobody will earn (2120).")
    revoked = DecimalField(help_text="What the credits carried that are gone.")
    credited = DecimalField(help_text="Off what was open.")
    returned = DecimalField(help_text="Of what was paid: the customer's credit (2210).")
    lines = NotedLine(many=True)
    entry = serializers.UUIDField(source="entry_id")

    class Meta:
        model = CreditNote
        fields = [
            "id", "number", "customer_id", "invoice", "adjustment", "currency", "amount", "tax",
            "earned", "unearned", "revoked", "credited", "returned", "lines", "reason", "entry",
            "created_at", "issued_at",
        ]  # fmt: skip


class CreditInvoiceView(ApiView):
    scope = ApiScope.BILLING
    names = {"post": "creditInvoice"}
    refusals = ("unknown_invoice", "invoice_in_draft", "invoice_not_open", "credits_held_back")
    operation = credit_notes.CREDIT

    @extend_schema(request=CreditNoteBody, responses={201: CreditNoteAnswer, 202: ApprovalAnswer})
    def post(self, request: Request, reference: str) -> HttpResponse:
        """Issue a credit note over an amount, over lines, or over all that is left of an invoice:
        what is open is lowered first, what was paid becomes the customer's credit. Above a limit
        it waits for a second person (202).
        """
        key, body = self.read_keyed(CreditNoteBody, request)
        parts = [LinePart(each["line"], each.get("amount")) for each in body.get("lines", ())]
        return respond(
            credit_notes.credit(
                livemode=self.livemode,
                invoice=reference,
                reason=body["reason"],
                amount=body.get("amount"),
                parts=parts,
                key=key,
            )
        )


class CreditNoteFilter(filters.FilterSet):
    customer_id = filters.CharFilter(field_name="customer__book__key")
    invoice = filters.CharFilter(field_name="invoice__number")

    class Meta:
        model = CreditNote
        fields = ["customer_id", "invoice"]


class CreditNotesView(RowsView[CreditNote]):
    scope = ApiScope.BILLING
    names = {"get": "listCreditNotes"}
    serializer_class = CreditNoteAnswer
    filterset_class = CreditNoteFilter
    columns = {
        "earned": Greatest(F("amount") - F("tax") - F("unearned") - F("revoked"), ZERO),
        "lines": "lines",
    }

    def get_queryset(self) -> QuerySet[CreditNote]:
        """Return the credit notes of the key's mode."""
        return CreditNote.objects.filter(livemode=self.livemode)


class CreditNoteView(ApiView):
    scope = ApiScope.BILLING
    names = {"get": "getCreditNote"}
    refusals = ("unknown_credit_note",)

    @extend_schema(responses=CreditNoteAnswer)
    def get(self, request: Request, reference: str) -> Response:
        """Return a credit note, by id or number."""
        found = credit_note_documents.get_note(livemode=self.livemode, reference=reference)
        return Response(CreditNoteAnswer(found).data)


class CreditNoteHtmlView(ApiView):
    scope = ApiScope.BILLING
    names = {"get": "getCreditNoteHtml"}
    refusals = ("unknown_credit_note",)

    @extend_schema(responses={(200, "text/html"): OpenApiTypes.STR})
    def get(self, request: Request, reference: str) -> HttpResponse:
        """Return a credit note as a page, the same bytes at every reading."""
        return answer(
            document_files.of_credit_note(
                livemode=self.livemode, reference=reference, form=FileFormat.HTML
            )
        )


class CreditNotePdfView(ApiView):
    scope = ApiScope.BILLING
    names = {"get": "getCreditNotePdf"}
    refusals = ("unknown_credit_note", "pdf_unavailable")

    @extend_schema(responses={(200, "application/pdf"): OpenApiTypes.BINARY})
    def get(self, request: Request, reference: str) -> HttpResponse:
        """Return a credit note as a PDF, the same bytes at every reading; 503 `pdf_unavailable`
        where the server has no Pango.
        """
        return answer(
            document_files.of_credit_note(
                livemode=self.livemode, reference=reference, form=FileFormat.PDF
            )
        )
