"""`/v1/customers` and `/v1/subscriptions`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet
from django.http import HttpResponse
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.access.models import ApiScope
from aforo.api.fields import NothingBody, StrictSerializer, TimeField
from aforo.api.rows import Row, RowsView
from aforo.api.views import ApiView
from billing.customers import customers
from billing.lifecycle import changes, subscribing
from billing.models import Customer, Subscription
from wallets.lots import queries


class PersonalBody(StrictSerializer):
    name = serializers.CharField(max_length=200)
    email = serializers.EmailField(max_length=254, required=False, allow_blank=True)
    country = serializers.RegexField(
        r"^[A-Za-z]{2}$", max_length=2, required=False, allow_blank=True
    )
    region = serializers.CharField(max_length=50, required=False, allow_blank=True)
    tax_id = serializers.CharField(max_length=50, required=False, allow_blank=True)
    timezone = serializers.CharField(max_length=50, required=False)
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
            "id", "livemode", "name", "email", "country", "region", "tax_id", "timezone", "tags",
            "test_clock", "created_at",
        ]  # fmt: skip


class SubscriptionBody(StrictSerializer):
    customer_id = serializers.CharField(max_length=64)
    offering = serializers.CharField(max_length=64)
    starts_at = TimeField(required=False, allow_null=True)
    anchor_day = serializers.IntegerField(
        min_value=1, max_value=31, required=False, allow_null=True
    )
    coupon = serializers.CharField(max_length=64, required=False, allow_null=True)


class PeriodAnswer(serializers.Serializer[Any]):
    starts_at = serializers.DateTimeField(source="current_starts_at")
    ends_at = serializers.DateTimeField(source="current_ends_at")


class PinnedAnswer(serializers.Serializer[Any]):
    code = serializers.CharField(source="plan.code")
    version = serializers.IntegerField(source="number")


def granted(subscription_ids: Collection[UUID]) -> dict[UUID, list[dict[str, object]]]:
    """Return the lots that each subscription has issued, by its id, the newest first, at most a
    hundred of each.
    """
    return queries.issued_by(subscription_ids, at_most=100)


_UNITS = """
    SELECT book_id, 0, id, 'currency', currency FROM wallets_wallet WHERE book_id = ANY(%s)
    UNION ALL
    SELECT w.book_id, 1, w.id, 'metric', m.code
    FROM wallets_unitwallet AS w JOIN pricing_metric AS m ON m.id = w.metric_id
    WHERE w.book_id = ANY(%s)
    ORDER BY 1, 2, 3
"""


def units(book_ids: Collection[int]) -> dict[int, list[dict[str, Any]]]:
    """Return what the wallets of books are in, currencies before metrics, by book."""
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(_UNITS, [list(book_ids)] * 2)
        for book_id, _, _, name, code in cursor.fetchall():
            found[book_id].append({name: code})
    return found


class SubscriptionAnswer(serializers.ModelSerializer[Subscription]):
    customer_id = serializers.CharField(source="customer.book.key")
    offering = serializers.CharField(source="offering.code")
    coupon = serializers.CharField(source="coupon.code", default=None, allow_null=True)
    current_period = PeriodAnswer(source="*")
    rate_plan = PinnedAnswer(source="version")
    wallets = serializers.SerializerMethodField()
    grants = serializers.SerializerMethodField()

    class Meta:
        model = Subscription
        fields = [
            "id", "customer_id", "offering", "status", "billing_mode", "starts_at", "coupon",
            "trial_ends_at", "cancel_at", "current_period", "rate_plan", "wallets", "grants",
        ]  # fmt: skip

    def get_wallets(self, subscription: Subscription) -> list[dict[str, Any]]:
        """Return the wallets of the customer."""
        return units([subscription.customer_id])[subscription.customer_id]

    def get_grants(self, subscription: Subscription) -> list[dict[str, Any]]:
        """Return the credits that it has issued, newest first, at most a hundred."""
        return granted([subscription.pk])[subscription.pk]


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


class SubscriptionFilter(filters.FilterSet):
    customer_id = filters.CharFilter(field_name="customer__book__key")

    class Meta:
        model = Subscription
        fields = ["status", "customer_id"]


class SubscriptionsView(RowsView[Subscription]):
    scope = ApiScope.BILLING
    names = {"get": "listSubscriptions", "post": "createSubscription"}
    refusals = (
        "unknown_customer",
        "offering_not_active",
        "metric_already_subscribed",
        "already_subscribed",
        "coupon_spent",
        "not_published",
    )
    operation = "billing.subscriptions.create"
    serializer_class = SubscriptionAnswer
    filterset_class = SubscriptionFilter
    beside = ("customer_id",)

    def get_queryset(self) -> QuerySet[Subscription]:
        """Return the subscriptions of the key's mode."""
        return Subscription.objects.filter(customer__book__livemode=self.livemode)

    def complete(self, rows: Sequence[Row], beside: Sequence[tuple[Any, ...]]) -> None:
        """Add the wallets of the customers, and the credits that each has issued."""
        wallets = units([book_id for (book_id,) in beside])
        lots = granted([row["id"] for row in rows])
        for row, (book_id,) in zip(rows, beside, strict=True):
            row["wallets"], row["grants"] = wallets[book_id], lots[row["id"]]

    @extend_schema(request=SubscriptionBody, responses={201: SubscriptionAnswer})
    def post(self, request: Request) -> HttpResponse:
        """Subscribe: provision the wallets and issue the plan's credits."""
        body = self.read(SubscriptionBody, request)
        return self.once(
            request,
            content=body,
            make=lambda: (
                SubscriptionAnswer(subscribing.subscribe(livemode=self.livemode, **body)).data
            ),
        )


class SubscriptionView(ApiView):
    scope = ApiScope.BILLING
    names = {"get": "getSubscription"}
    refusals = ("unknown_subscription",)

    @extend_schema(responses=SubscriptionAnswer)
    def get(self, request: Request, subscription_id: UUID) -> Response:
        """Return a subscription."""
        found = subscribing.get_subscription(
            livemode=self.livemode, subscription_id=subscription_id
        )
        return Response(SubscriptionAnswer(found).data)


class CancelBody(StrictSerializer):
    at = serializers.ChoiceField(choices=[when.value for when in changes.When])


class CancelView(ApiView):
    scope = ApiScope.BILLING
    names = {"post": "cancelSubscription"}
    refusals = ("unknown_subscription", "already_cancelled", "cycle_not_settled")
    operation = "billing.subscriptions.cancel"

    @extend_schema(request=CancelBody, responses=SubscriptionAnswer)
    def post(self, request: Request, subscription_id: UUID) -> HttpResponse:
        """End a subscription now, by the time served, or with its open cycle."""
        body = self.read(CancelBody, request)
        changes.prepare(livemode=self.livemode, subscription_id=subscription_id)
        return self.once(
            request,
            content={**body, "subscription": subscription_id},
            make=lambda: (
                SubscriptionAnswer(
                    changes.cancel(
                        livemode=self.livemode, subscription_id=subscription_id, at=body["at"]
                    )
                ).data
            ),
            status=200,
        )


class SubscriptionPauseView(ApiView):
    scope = ApiScope.BILLING
    names = {"post": "pauseSubscription"}
    refusals = ("unknown_subscription", "not_active", "cycle_not_settled")
    operation = "billing.subscriptions.pause"

    @extend_schema(request=NothingBody, responses=SubscriptionAnswer)
    def post(self, request: Request, subscription_id: UUID) -> HttpResponse:
        """Pause a subscription: settle the open cycle up to now and begin no other until it is
        resumed.
        """
        self.read(NothingBody, request)
        changes.prepare(livemode=self.livemode, subscription_id=subscription_id)
        return self.once(
            request,
            content={"subscription": subscription_id},
            make=lambda: (
                SubscriptionAnswer(
                    changes.pause(livemode=self.livemode, subscription_id=subscription_id)
                ).data
            ),
            status=200,
        )


class ResumeView(ApiView):
    scope = ApiScope.BILLING
    names = {"post": "resumeSubscription"}
    refusals = ("unknown_subscription", "not_paused")
    operation = "billing.subscriptions.resume"

    @extend_schema(request=NothingBody, responses=SubscriptionAnswer)
    def post(self, request: Request, subscription_id: UUID) -> HttpResponse:
        """Resume a paused subscription from now; its anniversaries stay."""
        self.read(NothingBody, request)
        return self.once(
            request,
            content={"subscription": subscription_id},
            make=lambda: (
                SubscriptionAnswer(
                    changes.resume(livemode=self.livemode, subscription_id=subscription_id)
                ).data
            ),
            status=200,
        )
