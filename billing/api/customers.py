"""`/v1/customers`."""

from __future__ import annotations

from django.db.models import QuerySet
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.access.models import ApiScope
from aforo.api.fields import StrictSerializer
from aforo.api.rows import RowsView
from aforo.api.views import ApiView
from billing.customers import customers
from billing.models import CollectionMethod, Customer


class PersonalBody(StrictSerializer):
    name = serializers.CharField(max_length=200)
    email = serializers.EmailField(max_length=254, required=False, allow_blank=True)
    address = serializers.CharField(max_length=500, required=False, allow_blank=True)
    country = serializers.RegexField(
        r"^[A-Za-z]{2}$", max_length=2, required=False, allow_blank=True
    )
    region = serializers.CharField(max_length=50, required=False, allow_blank=True)
    tax_id = serializers.CharField(max_length=50, required=False, allow_blank=True)
    timezone = serializers.CharField(max_length=50, required=False)
    apply_credit = serializers.BooleanField(
        required=False,
        help_text="What is owed to the customer pays its later invoices by itself.",
    )
    collection_method = serializers.ChoiceField(
        choices=CollectionMethod.choices,
        required=False,
        help_text="CHARGE_AUTOMATICALLY: open invoices are charged to `payment_method`.",
    )
    payment_method = serializers.CharField(
        max_length=50,
        required=False,
        allow_blank=True,
        help_text="As the payment gateway knows it; the sandbox knows `test_ok` and its like.",
    )
    mail_documents = serializers.BooleanField(
        required=False,
        help_text="Invoices, statements and credit notes are mailed as they are issued.",
    )
    tags = serializers.ListField(
        child=serializers.CharField(max_length=50), max_length=100, required=False
    )


class CustomerBody(PersonalBody):
    id = serializers.RegexField(r"^[^\s/\x00]+$", max_length=64)
    test_clock = serializers.UUIDField(required=False, allow_null=True)


class CustomerChange(PersonalBody):
    name = serializers.CharField(max_length=200, required=False)


class CustomerAnswer(serializers.ModelSerializer[Customer]):
    id = serializers.CharField(source="book.key")
    livemode = serializers.BooleanField(source="book.livemode")
    test_clock = serializers.UUIDField(source="book.test_clock_id", allow_null=True)

    class Meta:
        model = Customer
        fields = [
            "id", "livemode", "name", "email", "address", "country", "region", "tax_id",
            "tax_id_checked_at", "timezone", "apply_credit", "collection_method",
            "payment_method", "mail_documents", "tags", "test_clock", "created_at",
        ]  # fmt: skip


class CustomersView(RowsView[Customer]):
    scope = ApiScope.BILLING
    names = {"get": "listCustomers", "post": "createCustomer"}
    refusals = ("customer_exists", "unknown_test_clock", "test_clock_in_live_mode")
    operation = "billing.customers.create"
    serializer_class = CustomerAnswer
    filterset_fields = ["country"]

    def get_queryset(self) -> QuerySet[Customer]:
        """Return the customers of the key's mode."""
        return Customer.objects.filter(book__livemode=self.livemode)

    @extend_schema(request=CustomerBody, responses={201: CustomerAnswer})
    def post(self, request: Request) -> HttpResponse:
        """Create a customer, and open its book."""
        body = self.read(CustomerBody, request)
        content = dict(body)
        customer_id = body.pop("id")
        return self.once(
            request,
            content=content,
            make=lambda: (
                CustomerAnswer(
                    customers.create_customer(
                        livemode=self.livemode, customer_id=customer_id, **body
                    )
                ).data
            ),
        )


class CustomerView(ApiView):
    scope = ApiScope.BILLING
    names = {"get": "getCustomer", "patch": "updateCustomer"}
    refusals = ("unknown_customer",)

    @extend_schema(responses=CustomerAnswer)
    def get(self, request: Request, customer_id: str) -> Response:
        """Return a customer."""
        found = customers.get_customer(livemode=self.livemode, customer_id=customer_id)
        return Response(CustomerAnswer(found).data)

    @extend_schema(request=CustomerChange, responses=CustomerAnswer)
    def patch(self, request: Request, customer_id: str) -> Response:
        """Change personal data."""
        body = self.read(CustomerChange, request)
        changed = customers.update_customer(
            livemode=self.livemode, customer_id=customer_id, changes=body
        )
        return Response(CustomerAnswer(changed).data)
