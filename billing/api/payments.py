"""`/v1/payments`: payments of the bank, matched to invoices or waiting for a person; `/v1/charges`:
invoices charged through the gateway.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils import timezone
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.access.models import ApiScope
from aforo.api.fields import CurrencyField, DayField, DecimalField, StrictSerializer
from aforo.api.rows import Row, RowsView
from aforo.api.views import ApiView
from billing.invoicing import bank_payments
from billing.invoicing.payment_lines import PaymentLine
from billing.models import BankPayment, InvoiceCharge, InvoicePayment


class BankPaymentBody(StrictSerializer):
    idempotency_key = serializers.CharField(max_length=255, required=False)
    account = serializers.CharField(max_length=50)
    bank_reference = serializers.CharField(
        max_length=200, help_text="The bank's own: a payment is taken once by it."
    )
    booked_on = DayField()
    amount = DecimalField(positive=True)
    currency = CurrencyField()
    text = serializers.CharField(max_length=1000, required=False, allow_blank=True)
    payer = serializers.CharField(max_length=200, required=False, allow_blank=True)
    customer_id = serializers.CharField(max_length=64, required=False, allow_blank=True)


class AssignBody(StrictSerializer):
    idempotency_key = serializers.CharField(max_length=255, required=False)
    invoice = serializers.CharField(max_length=64, help_text="Its number or id.")


class SendBackBody(StrictSerializer):
    idempotency_key = serializers.CharField(max_length=255, required=False)
    reason = serializers.CharField(max_length=300)


class PaidInvoiceAnswer(serializers.Serializer[Any]):
    invoice = serializers.CharField()
    amount = serializers.CharField()
    applied = serializers.CharField(help_text="The rest is unapplied (2220).")


class BankPaymentAnswer(serializers.ModelSerializer[BankPayment]):
    amount = DecimalField()
    invoices = serializers.SerializerMethodField()

    class Meta:
        model = BankPayment
        fields = [
            "id", "account", "bank_reference", "booked_on", "amount", "currency", "text", "payer",
            "customer_id", "state", "reason", "invoices", "created_at", "decided_at",
        ]  # fmt: skip

    @extend_schema_field(PaidInvoiceAnswer(many=True))
    def get_invoices(self, payment: BankPayment) -> list[Row]:
        """Return what it paid of which invoices."""
        return _paid_by([payment.pk])[payment.pk]


def _paid_by(payments: Sequence[UUID]) -> dict[UUID, list[Row]]:
    paid = defaultdict[UUID, list[Row]](list)
    found = InvoicePayment.objects.filter(bank_payment__in=payments).order_by("pk")
    amount = DecimalField()
    for payment, number, sent, applied in found.values_list(
        "bank_payment_id", "invoice__number", "amount", "applied"
    ):
        paid[payment].append(
            {
                "invoice": number,
                "amount": amount.to_representation(sent),
                "applied": amount.to_representation(applied),
            }
        )
    return paid


class BankPaymentFilter(filters.FilterSet):
    class Meta:
        model = BankPayment
        fields = ["state", "account", "currency"]


class BankPaymentsView(RowsView[BankPayment]):
    scope = ApiScope.BILLING
    names = {"get": "listBankPayments", "post": "recordBankPayment"}
    refusals = ("payment_contradicted",)
    operation = "billing.bank_payments.take"
    serializer_class = BankPaymentAnswer
    filterset_class = BankPaymentFilter

    def get_queryset(self) -> QuerySet[BankPayment]:
        """Return the payments of the key's mode."""
        return BankPayment.objects.filter(livemode=self.livemode)

    def complete(self, rows: Sequence[Row], beside: Sequence[tuple[Any, ...]]) -> None:
        """Add what each paid of which invoices."""
        paid = _paid_by([row["id"] for row in rows])
        for row in rows:
            row["invoices"] = paid[row["id"]]

    @extend_schema(request=BankPaymentBody, responses={201: BankPaymentAnswer})
    def post(self, request: Request) -> HttpResponse:
        """Record a payment that came to a bank account, and match it to open invoices: those whose
        numbers its text has, the one of exactly its amount first. A payment that was taken before
        is answered as it stands.
        """
        key, body = self.read_keyed(BankPaymentBody, request)
        return self.once(
            request,
            key=key,
            content=body,
            make=lambda: (
                BankPaymentAnswer(
                    bank_payments.take(
                        livemode=self.livemode, line=PaymentLine(**body), now=timezone.now()
                    ).payment
                ).data
            ),
        )


class BankPaymentView(ApiView):
    scope = ApiScope.BILLING
    names = {"get": "getBankPayment"}
    refusals = ("unknown_payment",)

    @extend_schema(responses=BankPaymentAnswer)
    def get(self, request: Request, payment_id: UUID) -> Response:
        """Return a payment of the bank, and what it paid."""
        found = bank_payments.get_payment(livemode=self.livemode, payment_id=payment_id)
        return Response(BankPaymentAnswer(found).data)


class AssignView(ApiView):
    scope = ApiScope.BILLING
    names = {"post": "assignBankPayment"}
    refusals = ("unknown_payment", "unknown_invoice", "payment_decided", "invoice_not_open")
    operation = "billing.bank_payments.assign"

    @extend_schema(request=AssignBody, responses=BankPaymentAnswer)
    def post(self, request: Request, payment_id: UUID) -> HttpResponse:
        """Assign a payment that was not matched to an open invoice; what is too much is unapplied
        (2220).
        """
        key, body = self.read_keyed(AssignBody, request)
        return self.once(
            request,
            key=key,
            content={**body, "payment": payment_id},
            make=lambda: (
                BankPaymentAnswer(
                    bank_payments.assign(
                        livemode=self.livemode, payment_id=payment_id, now=timezone.now(), **body
                    )
                ).data
            ),
            status=200,
        )


class SendBackView(ApiView):
    scope = ApiScope.BILLING
    names = {"post": "sendBackBankPayment"}
    refusals = ("unknown_payment", "payment_decided")
    operation = "billing.bank_payments.send_back"

    @extend_schema(request=SendBackBody, responses=BankPaymentAnswer)
    def post(self, request: Request, payment_id: UUID) -> HttpResponse:
        """Record that a payment that was not matched is sent back; it was never in the books."""
        key, body = self.read_keyed(SendBackBody, request)
        return self.once(
            request,
            key=key,
            content={**body, "payment": payment_id},
            make=lambda: (
                BankPaymentAnswer(
                    bank_payments.send_back(
                        livemode=self.livemode, payment_id=payment_id, now=timezone.now(), **body
                    )
                ).data
            ),
            status=200,
        )


class ChargeAnswer(serializers.ModelSerializer[InvoiceCharge]):
    customer_id = serializers.CharField(source="invoice.customer.book.key")
    invoice = serializers.CharField(source="invoice.number")
    amount = DecimalField()

    class Meta:
        model = InvoiceCharge
        fields = [
            "id", "customer_id", "invoice", "attempt", "amount", "currency", "method", "status",
            "created_at", "concluded_at",
        ]  # fmt: skip


class ChargeFilter(filters.FilterSet):
    customer_id = filters.CharFilter(field_name="invoice__customer__book__key")
    invoice = filters.CharFilter(field_name="invoice__number")

    class Meta:
        model = InvoiceCharge
        fields = ["customer_id", "invoice", "status"]


class ChargesView(RowsView[InvoiceCharge]):
    scope = ApiScope.BILLING
    names = {"get": "listCharges"}
    serializer_class = ChargeAnswer
    filterset_class = ChargeFilter

    def get_queryset(self) -> QuerySet[InvoiceCharge]:
        """Return the charges of invoices of the key's mode."""
        return InvoiceCharge.objects.filter(invoice__livemode=self.livemode)
