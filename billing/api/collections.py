"""What corrects and settles invoices: voids, write-offs, and what is owed to customers."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.access.models import ApiScope
from aforo.api.fields import CurrencyField, DecimalField, StrictSerializer
from aforo.api.idempotency import respond
from aforo.api.views import ApiView
from billing.adjustments import voids
from billing.invoicing import customer_credit, write_offs
from ledger.entries import books
from wallets.api.shapes import AllocationAnswer, ApprovalAnswer


class WriteOffBody(StrictSerializer):
    reason = serializers.CharField(max_length=300)
    tax_relief = serializers.BooleanField(
        required=False, help_text="The law relieves the tax in it, so that it is not owed any more."
    )
    idempotency_key = serializers.CharField(max_length=255, required=False)


class WriteOffAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    customer_id = serializers.CharField()
    invoice = serializers.CharField()
    status = serializers.CharField()
    currency = serializers.CharField()
    written_off = serializers.CharField()
    tax_relieved = serializers.CharField()
    unearned = serializers.CharField(help_text="Fees in advance that nobody will earn.")
    revoked = serializers.CharField(help_text="What the unspent credits carried that are gone.")
    loss = serializers.CharField(help_text="The rest: off the allowance, or an expense.")
    reason = serializers.CharField()
    entry = serializers.UUIDField()
    occurred_at = serializers.DateTimeField()


class WriteOffView(ApiView):
    scope = ApiScope.BILLING
    names = {"post": "writeOffInvoice"}
    refusals = ("unknown_invoice", "invoice_not_open", "credits_held_back")
    operation = write_offs.WRITE_OFF

    @extend_schema(request=WriteOffBody, responses={200: WriteOffAnswer, 202: ApprovalAnswer})
    def post(self, request: Request, reference: str) -> HttpResponse:
        """Write off what is open of an invoice: it is UNCOLLECTIBLE then, and recovered where it is
        paid after all. Above a limit it waits for a second person (202).
        """
        key, body = self.read_keyed(WriteOffBody, request)
        return respond(
            write_offs.write_off(livemode=self.livemode, invoice=reference, key=key, **body)
        )


class InvoiceVoidBody(StrictSerializer):
    reason = serializers.CharField(max_length=300)
    idempotency_key = serializers.CharField(max_length=255, required=False)


class InvoiceVoidAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    customer_id = serializers.CharField()
    invoice = serializers.CharField()
    status = serializers.CharField()
    currency = serializers.CharField()
    amount = serializers.CharField(help_text="What is not owed any more.")
    settlement = serializers.UUIDField(
        allow_null=True, help_text="The cycle that is VOIDED, never to be settled again by itself."
    )
    returned = AllocationAnswer(many=True)
    revoked = serializers.CharField(help_text="What the credits carried that it had sold.")
    reason = serializers.CharField()
    entry = serializers.UUIDField()
    occurred_at = serializers.DateTimeField()


class VoidView(ApiView):
    scope = ApiScope.BILLING
    names = {"post": "voidInvoice"}
    refusals = ("unknown_invoice", "not_voidable")
    operation = voids.VOID

    @extend_schema(request=InvoiceVoidBody, responses=InvoiceVoidAnswer)
    def post(self, request: Request, reference: str) -> HttpResponse:
        """Void an issued invoice of which nothing is paid: what it posted is posted back, credits
        return to their lots, and its cycle is never settled again by itself. The number stays.
        """
        key, body = self.read_keyed(InvoiceVoidBody, request)
        return respond(voids.void(livemode=self.livemode, invoice=reference, key=key, **body))


class CreditView(ApiView):
    scope = ApiScope.BILLING
    names = {"get": "getCustomerCredit"}
    refusals = ("unknown_customer",)

    @extend_schema(responses={200: {"type": "object", "additionalProperties": {"type": "string"}}})
    def get(self, request: Request, customer_id: str) -> Response:
        """Return what is owed to a customer and not yet used, by currency: credit notes of paid
        invoices, and what was paid too much.
        """
        book = books.get_book(livemode=self.livemode, key=customer_id)
        return Response(customer_credit.totals(book))


class ApplyCreditBody(StrictSerializer):
    amount = DecimalField(positive=True, required=False)
    idempotency_key = serializers.CharField(max_length=255, required=False)


class ApplyCreditAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    customer_id = serializers.CharField()
    invoice = serializers.CharField()
    status = serializers.CharField()
    currency = serializers.CharField()
    applied = serializers.CharField()
    open = serializers.CharField(help_text="What is still to be paid of the invoice.")
    credit = serializers.CharField(help_text="What is still owed to the customer.")
    entry = serializers.UUIDField()
    occurred_at = serializers.DateTimeField()


class ApplyCreditView(ApiView):
    scope = ApiScope.BILLING
    names = {"post": "applyCustomerCredit"}
    refusals = ("unknown_invoice", "invoice_not_open", "credits_held_back")
    operation = customer_credit.APPLY

    @extend_schema(request=ApplyCreditBody, responses=ApplyCreditAnswer)
    def post(self, request: Request, reference: str) -> HttpResponse:
        """Pay an open invoice from what is owed to its customer; without `amount`, as much as there
        is.
        """
        key, body = self.read_keyed(ApplyCreditBody, request)
        return respond(
            customer_credit.apply_credit(livemode=self.livemode, invoice=reference, key=key, **body)
        )


class CreditRefundBody(StrictSerializer):
    amount = DecimalField(positive=True)
    currency = CurrencyField()
    reference = serializers.CharField(max_length=200)
    reason = serializers.CharField(max_length=300)
    idempotency_key = serializers.CharField(max_length=255, required=False)


class CreditRefundAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    customer_id = serializers.CharField()
    amount = serializers.CharField()
    currency = serializers.CharField()
    reference = serializers.CharField()
    reason = serializers.CharField()
    credit = serializers.CharField(help_text="What is still owed to the customer.")
    entry = serializers.UUIDField()
    occurred_at = serializers.DateTimeField()


class CreditRefundView(ApiView):
    scope = ApiScope.BILLING
    names = {"post": "refundCustomerCredit"}
    refusals = ("unknown_customer",)
    operation = customer_credit.REFUND

    @extend_schema(
        request=CreditRefundBody, responses={201: CreditRefundAnswer, 202: ApprovalAnswer}
    )
    def post(self, request: Request, customer_id: str) -> HttpResponse:
        """Record that what is owed to a customer was paid out by bank; above a limit it waits for a
        second person (202).
        """
        key, body = self.read_keyed(CreditRefundBody, request)
        return respond(
            customer_credit.refund_credit(
                livemode=self.livemode, customer_id=customer_id, key=key, **body
            )
        )
