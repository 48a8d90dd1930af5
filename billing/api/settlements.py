"""`/v1/settlements`, `/v1/invoices`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Case, CharField, F, Q, QuerySet, Value, When
from django.db.models.functions import Cast, Coalesce, NullIf
from django.http import HttpResponse
from django.utils import timezone
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.access.models import ApiScope
from aforo.api.fields import DecimalField, StrictSerializer, TimeField
from aforo.api.idempotency import respond
from aforo.api.rows import Row, RowsView
from aforo.api.views import ApiView
from aforo.money import ZERO
from aforo.sandbox.services import now_at, now_for
from billing.cycle_end import runs
from billing.invoicing import invoices, payments
from billing.jobs import tasks
from billing.models import Invoice, InvoiceLine, InvoiceStatus, Settlement
from billing.settlement import settled_cycles
from wallets.models import PaidBy


class RunBody(StrictSerializer):
    as_of = TimeField(required=False, allow_null=True)
    customer_id = serializers.CharField(max_length=64, required=False, allow_null=True)


class RunAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    status = serializers.CharField()
    as_of = serializers.DateTimeField()
    due = serializers.IntegerField()
    settled = serializers.IntegerField()
    failed = serializers.IntegerField()
    failures = serializers.ListField(child=serializers.DictField())


class RunEnvelope(serializers.Serializer[Any]):
    run = RunAnswer()


class RunsView(ApiView):
    scope = ApiScope.BILLING
    names = {"post": "runSettlements"}
    refusals = ("unknown_customer", "run_in_progress")
    operation = "billing.settlements.run"

    @extend_schema(request=RunBody, responses={202: RunEnvelope})
    def post(self, request: Request) -> HttpResponse:
        """Settle what is due, for one customer or all; 409 while an overlapping run is under
        way.
        """
        body = self.read(RunBody, request)

        def make() -> dict[str, object]:
            run = runs.start_run(
                livemode=self.livemode,
                as_of=body.get("as_of"),
                customer_id=body.get("customer_id"),
                now=timezone.now(),
            )
            tasks.enqueue(run.pk)
            return {"run": runs.describe(run)}

        return self.once(request, content=body, make=make, status=202)


class RunView(ApiView):
    scope = ApiScope.BILLING
    names = {"get": "getSettlementRun"}
    refusals = ("unknown_run",)

    @extend_schema(responses=RunAnswer)
    def get(self, request: Request, run_id: UUID) -> Response:
        """Return the progress of a run."""
        return Response(runs.describe(runs.get_run(livemode=self.livemode, run_id=run_id)))


# An invoice as others name it: by its number, a draft by its id.
NUMBER_OR_ID = Coalesce(
    NullIf("invoice__number", Value("")), Cast("invoice__pk", CharField()), output_field=CharField()
)


class SettlementPeriod(serializers.Serializer[Any]):
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()


class SettlementAnswer(serializers.ModelSerializer[Settlement]):
    customer_id = serializers.CharField(source="book.key")
    subscription = serializers.UUIDField(source="subscription_id")
    period = SettlementPeriod(source="*")
    entry = serializers.UUIDField(source="entry_id", allow_null=True)
    invoice = serializers.SerializerMethodField()
    arrears_open = serializers.SerializerMethodField()

    class Meta:
        model = Settlement
        fields = [
            "id", "customer_id", "subscription", "cycle", "period", "status", "currency",
            "settled_at", "stages", "totals", "arrears_open", "entry", "invoice",
            "statement_number",
        ]  # fmt: skip

    def get_invoice(self, found: Settlement) -> str | None:
        """Return the number of the cycle's invoice, if it has one."""
        invoice = getattr(found, "invoice", None)
        return None if invoice is None else invoice.number or str(invoice.pk)

    def get_arrears_open(self, found: Settlement) -> str:
        """Return what is still owed of the arrears."""
        return DecimalField().to_representation(found.arrears - found.arrears_paid)


class SettlementFilter(filters.FilterSet):
    customer_id = filters.CharFilter(field_name="book__key")
    subscription = filters.UUIDFilter(field_name="subscription")

    class Meta:
        model = Settlement
        fields = ["customer_id", "subscription", "status"]


class SettlementsView(RowsView[Settlement]):
    scope = ApiScope.BILLING
    names = {"get": "listSettlements"}
    serializer_class = SettlementAnswer
    filterset_class = SettlementFilter
    columns = {
        "arrears_open": F("arrears") - F("arrears_paid"),
        "invoice": NUMBER_OR_ID,
    }

    def get_queryset(self) -> QuerySet[Settlement]:
        """Return the settlements of the key's mode."""
        return Settlement.objects.filter(book__livemode=self.livemode)


class SettlementView(ApiView):
    scope = ApiScope.BILLING
    names = {"get": "getSettlement"}
    refusals = ("unknown_settlement",)

    def customer_of(self, **ids: Any) -> str | None:
        """Return the customer whose cycle it settled."""
        return settled_cycles.get_settlement(livemode=self.livemode, **ids).book.key

    @extend_schema(responses=SettlementAnswer)
    def get(self, request: Request, settlement_id: UUID) -> Response:
        """Return a settlement with its ten stages and its totals."""
        found = settled_cycles.get_settlement(livemode=self.livemode, settlement_id=settlement_id)
        return Response(SettlementAnswer(found).data)


class LineAnswer(serializers.ModelSerializer[InvoiceLine]):
    quantity = DecimalField(allow_null=True)
    unit_price = DecimalField(allow_null=True)
    amount = DecimalField()

    class Meta:
        model = InvoiceLine
        fields = [
            "position", "kind", "charge", "description", "quantity", "unit_price", "amount",
            "steps",
        ]  # fmt: skip


def is_overdue(status: str, due_at: datetime | None, now: datetime) -> bool:
    """Return whether an invoice is open after its due date."""
    return status == InvoiceStatus.OPEN and due_at is not None and due_at <= now


class InvoiceAnswer(serializers.ModelSerializer[Invoice]):
    customer_id = serializers.CharField(source="customer.book.key")
    settlement = serializers.UUIDField(source="settlement_id", allow_null=True)
    top_up = serializers.UUIDField(source="top_up_id", allow_null=True)
    period = SettlementPeriod(source="*")
    overdue = serializers.SerializerMethodField()
    subtotal = DecimalField()
    discount = DecimalField()
    tax = DecimalField()
    total = DecimalField(source="total.amount")
    from_wallet = DecimalField()
    amount_due = DecimalField()
    paid = DecimalField()
    credited = DecimalField(help_text="Of what was open, given back by corrections.")
    returned = DecimalField(help_text="Of what was paid, given back as the customer's credit.")
    written_off = DecimalField(help_text="Given up, because nobody is expected to pay it.")
    recovered = DecimalField(help_text="Of what was written off, paid after all.")
    open = DecimalField()
    lines = serializers.SerializerMethodField()

    class Meta:
        model = Invoice
        fields = [
            "id", "number", "customer_id", "settlement", "top_up", "status", "overdue", "currency",
            "period", "subtotal", "discount", "tax", "total", "from_wallet", "amount_due", "paid",
            "credited", "returned", "written_off", "recovered", "open", "lines",
            "issued_at", "due_at",
        ]  # fmt: skip

    def get_overdue(self, invoice: Invoice) -> bool:
        """Return whether an open invoice is past its due date at the customer's time."""
        return is_overdue(invoice.status, invoice.due_at, now_for(invoice.customer.book))

    def get_lines(self, invoice: Invoice) -> list[dict[str, Any]]:
        """Return the lines in their order."""
        lines = sorted(invoice.lines.all(), key=lambda line: line.position)
        return [dict(LineAnswer(line).data) for line in lines]


class FinalizeBody(StrictSerializer):
    """Nothing."""


class InvoiceFilter(filters.FilterSet):
    customer_id = filters.CharFilter(field_name="customer__book__key")
    overdue = filters.BooleanFilter(method="is_overdue")

    class Meta:
        model = Invoice
        fields = ["customer_id", "status"]

    def is_overdue(
        self,
        rows: QuerySet[Invoice],
        name: str,
        value: bool,  # noqa: FBT001
    ) -> QuerySet[Invoice]:
        """Return the open invoices past their due dates at their customers' time, or the others."""
        now = Coalesce("customer__book__test_clock__now", timezone.now())
        past = Q(status=InvoiceStatus.OPEN, due_at__lte=now)
        return rows.filter(past) if value else rows.exclude(past)


OPEN = Case(
    When(status=InvoiceStatus.VOID, then=Value(ZERO)),
    default=F("amount_due") - F("credited") - F("paid") - F("written_off"),
)


class InvoicesView(RowsView[Invoice]):
    scope = ApiScope.BILLING
    names = {"get": "listInvoices"}
    serializer_class = InvoiceAnswer
    filterset_class = InvoiceFilter
    columns = {"total": "total", "open": OPEN}
    beside = ("customer__book__test_clock__now",)

    def get_queryset(self) -> QuerySet[Invoice]:
        """Return the invoices of the key's mode."""
        return Invoice.objects.filter(livemode=self.livemode)

    def complete(self, rows: Sequence[Row], beside: Sequence[tuple[Any, ...]]) -> None:
        """Add the lines in their order, and whether the invoice is overdue."""
        found = InvoiceLine.objects.filter(invoice__in=[row["id"] for row in rows])
        lines = defaultdict[Any, list[Row]](list)
        names = LineAnswer.Meta.fields
        for invoice, *line in found.order_by("position").values_list("invoice_id", *names):
            lines[invoice].append(dict(zip(names, line, strict=True)))
        for row, (clock,) in zip(rows, beside, strict=True):
            row["lines"] = lines[row["id"]]
            row["overdue"] = is_overdue(row["status"], row["due_at"], now_at(clock))


class InvoiceView(ApiView):
    scope = ApiScope.BILLING
    names = {"get": "getInvoice"}
    refusals = ("unknown_invoice",)

    def customer_of(self, **ids: Any) -> str | None:
        """Return the customer who is billed."""
        return invoices.get_invoice(livemode=self.livemode, **ids).customer.book.key

    @extend_schema(responses=InvoiceAnswer)
    def get(self, request: Request, reference: str) -> Response:
        """Return an invoice, by id or number."""
        found = invoices.get_invoice(livemode=self.livemode, reference=reference)
        return Response(InvoiceAnswer(found).data)


class FinalizeView(ApiView):
    scope = ApiScope.BILLING
    names = {"post": "finalizeInvoice"}
    refusals = ("unknown_invoice", "invoice_not_draft")
    operation = "billing.invoices.finalize"

    @extend_schema(request=FinalizeBody, responses=InvoiceAnswer)
    def post(self, request: Request, reference: str) -> HttpResponse:
        """Assign a draft its number now, before it finalizes by itself."""
        self.read(FinalizeBody, request)
        return self.once(
            request,
            content={"invoice": reference},
            make=lambda: (
                InvoiceAnswer(invoices.finalize(livemode=self.livemode, reference=reference)).data
            ),
            status=200,
        )


class PayBody(StrictSerializer):
    amount = DecimalField(positive=True)
    reference = serializers.CharField(max_length=200)
    method = serializers.CharField(
        max_length=50, required=False, help_text="By bank unless it names a processor's."
    )
    idempotency_key = serializers.CharField(max_length=255, required=False)


class PayAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    customer_id = serializers.CharField()
    invoice = serializers.CharField()
    status = serializers.CharField()
    currency = serializers.CharField()
    amount = serializers.CharField()
    applied = serializers.CharField()
    unapplied = serializers.CharField()
    paid = serializers.CharField()
    recovered = serializers.CharField(help_text="Of what was written off before.")
    amount_due = serializers.CharField()
    reference = serializers.CharField()
    paid_by = serializers.ChoiceField(choices=PaidBy.choices)
    entry = serializers.UUIDField()
    received_at = serializers.DateTimeField()


class PayView(ApiView):
    scope = ApiScope.BILLING
    names = {"post": "payInvoice"}
    refusals = ("unknown_invoice", "invoice_not_open")
    operation = payments.PAY

    @extend_schema(request=PayBody, responses=PayAnswer)
    def post(self, request: Request, reference: str) -> HttpResponse:
        """Record money received for an invoice, in full, in part or more than was due."""
        key, body = self.read_keyed(PayBody, request)
        paid = payments.pay(livemode=self.livemode, invoice=reference, key=key, **body)
        return respond(paid)
