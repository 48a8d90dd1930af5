"""`/v1/subscriptions`: subscribing, what is asked of a subscription, and its moves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import Any, ClassVar
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
from aforo.actors import ACTOR_KINDS
from aforo.api.fields import ActorAnswer, StrictSerializer, TimeField
from aforo.api.rows import Row, RowsView
from aforo.api.views import ApiView
from billing.lifecycle import changes, subscribing
from billing.models import Subscription, SubscriptionMove
from billing.subscriptions import taken_coupons
from wallets.lots import queries


class SubscriptionBody(StrictSerializer):
    customer_id = serializers.CharField(max_length=64)
    offering = serializers.CharField(max_length=64)
    starts_at = TimeField(required=False, allow_null=True)
    anchor_day = serializers.IntegerField(
        min_value=1, max_value=31, required=False, allow_null=True
    )
    coupon = serializers.CharField(max_length=64, required=False, allow_null=True)
    coupons = serializers.ListField(
        child=serializers.CharField(max_length=64), max_length=10, required=False
    )


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
    coupons = serializers.SerializerMethodField()
    current_period = PeriodAnswer(source="*")
    rate_plan = PinnedAnswer(source="version")
    next_offering = serializers.CharField(
        source="next_offering.code", default=None, allow_null=True
    )
    next_version = serializers.IntegerField(
        source="next_version.number", default=None, allow_null=True
    )
    wallets = serializers.SerializerMethodField()
    grants = serializers.SerializerMethodField()

    class Meta:
        model = Subscription
        fields = [
            "id", "customer_id", "offering", "status", "billing_mode", "starts_at", "coupon",
            "coupons", "trial_ends_at", "cancel_at", "current_period", "rate_plan",
            "next_offering", "next_version", "wallets", "grants",
        ]  # fmt: skip

    def get_coupons(self, subscription: Subscription) -> list[str]:
        """Return its coupons, in the order in which they are taken off."""
        return taken_coupons.in_force([subscription.pk])[subscription.pk]

    def get_wallets(self, subscription: Subscription) -> list[dict[str, Any]]:
        """Return the wallets of the customer."""
        return units([subscription.customer_id])[subscription.customer_id]

    def get_grants(self, subscription: Subscription) -> list[dict[str, Any]]:
        """Return the credits that it has issued, newest first, at most a hundred."""
        return granted([subscription.pk])[subscription.pk]


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
        coupons = taken_coupons.in_force([row["id"] for row in rows])
        lots = granted([row["id"] for row in rows])
        for row, (book_id,) in zip(rows, beside, strict=True):
            row["wallets"], row["grants"] = wallets[book_id], lots[row["id"]]
            row["coupons"] = coupons[row["id"]]

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


def _subscriber(livemode: bool, subscription_id: UUID) -> str:  # noqa: FBT001
    found = subscribing.get_subscription(livemode=livemode, subscription_id=subscription_id)
    return found.customer.book.key


class SubscriptionView(ApiView):
    scope = ApiScope.BILLING
    names = {"get": "getSubscription"}
    refusals = ("unknown_subscription",)

    def customer_of(self, **ids: Any) -> str | None:
        """Return the customer who subscribed."""
        return _subscriber(self.livemode, **ids)

    @extend_schema(responses=SubscriptionAnswer)
    def get(self, request: Request, subscription_id: UUID) -> Response:
        """Return a subscription."""
        found = subscribing.get_subscription(
            livemode=self.livemode, subscription_id=subscription_id
        )
        return Response(SubscriptionAnswer(found).data)


class ReasonBody(StrictSerializer):
    reason = serializers.CharField(max_length=300, required=False)


class CancelBody(ReasonBody):
    at = serializers.ChoiceField(choices=[when.value for when in changes.When])


class ChangeView(ApiView):
    """A change that is asked of a subscription."""

    scope = ApiScope.BILLING
    body: ClassVar[type[StrictSerializer]] = ReasonBody

    def change(
        self, request: Request, subscription_id: UUID, act: Callable[..., Subscription]
    ) -> HttpResponse:
        """Do it once a key, after a cycle that is over was renewed."""
        body = self.read(self.body, request)
        changes.prepare(livemode=self.livemode, subscription_id=subscription_id)
        return self.once(
            request,
            content={**body, "subscription": subscription_id},
            make=lambda: (
                SubscriptionAnswer(
                    act(livemode=self.livemode, subscription_id=subscription_id, **body)
                ).data
            ),
            status=200,
        )


class CancelView(ChangeView):
    names = {"post": "cancelSubscription"}
    refusals = ("unknown_subscription", "already_cancelled", "cycle_not_settled")
    operation = "billing.subscriptions.cancel"
    body = CancelBody

    @extend_schema(request=CancelBody, responses=SubscriptionAnswer)
    def post(self, request: Request, subscription_id: UUID) -> HttpResponse:
        """End a subscription now, by the time served, or with its open cycle."""
        return self.change(request, subscription_id, changes.cancel)


class UncancelView(ChangeView):
    names = {"post": "uncancelSubscription"}
    refusals = ("unknown_subscription", "already_cancelled", "no_cancellation")
    operation = "billing.subscriptions.uncancel"

    @extend_schema(request=ReasonBody, responses=SubscriptionAnswer)
    def post(self, request: Request, subscription_id: UUID) -> HttpResponse:
        """Withdraw a cancellation at the period's end that is still ahead."""
        return self.change(request, subscription_id, changes.uncancel)


class SubscriptionPauseView(ChangeView):
    names = {"post": "pauseSubscription"}
    refusals = ("unknown_subscription", "not_active", "cycle_not_settled")
    operation = "billing.subscriptions.pause"

    @extend_schema(request=ReasonBody, responses=SubscriptionAnswer)
    def post(self, request: Request, subscription_id: UUID) -> HttpResponse:
        """Pause a subscription: settle the open cycle up to now and begin no other until it is
        resumed.
        """
        return self.change(request, subscription_id, changes.pause)


class ResumeView(ChangeView):
    names = {"post": "resumeSubscription"}
    refusals = ("unknown_subscription", "not_paused")
    operation = "billing.subscriptions.resume"

    @extend_schema(request=ReasonBody, responses=SubscriptionAnswer)
    def post(self, request: Request, subscription_id: UUID) -> HttpResponse:
        """Resume a paused subscription from now; its anniversaries stay."""
        return self.change(request, subscription_id, changes.resume)


class MoveActor(ActorAnswer):
    kind = serializers.ChoiceField(choices=ACTOR_KINDS, source="actor_kind")
    id = serializers.CharField(source="actor_id")


class SubscriptionMoveAnswer(serializers.ModelSerializer[SubscriptionMove]):
    from_status = serializers.CharField(allow_blank=True)
    facts = serializers.DictField(child=serializers.CharField())
    actor = MoveActor(source="*")

    class Meta:
        model = SubscriptionMove
        fields = [
            "id", "kind", "from_status", "to_status", "facts", "reason", "occurred_at",
            "recorded_at", "actor",
        ]  # fmt: skip


class SubscriptionMovesView(RowsView[SubscriptionMove]):
    scope = ApiScope.BILLING
    names = {"get": "listSubscriptionMoves"}
    refusals = ("unknown_subscription",)
    serializer_class = SubscriptionMoveAnswer

    def customer_of(self, **ids: Any) -> str | None:
        """Return the customer who subscribed."""
        return _subscriber(self.livemode, **ids)

    def get_queryset(self) -> QuerySet[SubscriptionMove]:
        """Return the moves of a subscription."""
        if getattr(self, "swagger_fake_view", False):
            return SubscriptionMove.objects.none()
        found = subscribing.get_subscription(
            livemode=self.livemode, subscription_id=self.kwargs["subscription_id"]
        )
        return SubscriptionMove.objects.filter(subscription=found)
