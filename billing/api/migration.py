"""Changes of plan: `/v1/subscriptions/{id}/migrate`, `/unmigrate`, and previews of many."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, PolymorphicProxySerializer, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.access.models import ApiScope
from aforo.api.fields import StrictSerializer
from aforo.api.pagination import NewestFirst
from aforo.api.views import ApiView
from aforo.errors import FieldError, Invalid
from billing.api.subscriptions import ChangeView, ReasonBody, SubscriptionAnswer
from billing.lifecycle import changes, mid_period, plan_changes, subscribing
from billing.simulation import plan_change, plan_change_rehearsal, plan_change_rows
from pricing import catalogue
from pricing.api.catalog import VersionField
from pricing.offerings import offerings


class MigrateBody(ReasonBody):
    offering = serializers.CharField(max_length=64, required=False)
    version = VersionField(required=False)
    at = serializers.ChoiceField(choices=[when.value for when in changes.When], default="NOW")
    preview = serializers.BooleanField(default=False)


class SideAnswer(serializers.Serializer[Any]):
    period = serializers.DictField()
    share = serializers.CharField()
    totals = serializers.DictField()


class ClosingAnswer(SideAnswer):
    stages = serializers.ListField(child=serializers.DictField())


class OpeningAnswer(SideAnswer):
    minimum_spend = serializers.CharField(allow_null=True)
    maximum_spend = serializers.CharField(allow_null=True)
    charges = serializers.ListField(child=serializers.DictField())


class CreditsAnswer(serializers.Serializer[Any]):
    carried = serializers.ListField(child=serializers.DictField())
    added = serializers.ListField(child=serializers.DictField())


class GivenBackAnswer(serializers.Serializer[Any]):
    owed = serializers.CharField()
    credits = serializers.CharField()


class DueNowAnswer(serializers.Serializer[Any]):
    refused = serializers.DictField(allow_null=True)
    closing = serializers.DictField(allow_null=True)
    given_back = GivenBackAnswer(allow_null=True)
    opening = serializers.DictField(allow_null=True)


class MoveAnswer(serializers.Serializer[Any]):
    subscription = serializers.UUIDField()
    customer_id = serializers.CharField()
    at = serializers.DateTimeField()
    to = serializers.DictField()
    closing = ClosingAnswer()
    opening = OpeningAnswer()
    credits = CreditsAnswer()
    changes = serializers.ListField(child=serializers.DictField())
    due_now = DueNowAnswer()

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Add the member `from`, which is a reserved word in Python."""
        return {**super().get_fields(), "from": serializers.DictField()}


class MigrateView(ApiView):
    scope = ApiScope.BILLING
    names = {"post": "migrateSubscription"}
    operation = "billing.subscriptions.migrate"
    refusals = (
        "unknown_subscription",
        "cannot_move",
        "subscription_cancelled",
        "cycle_not_settled",
        "already_there",
        "metric_dropped",
        "metric_already_subscribed",
        "already_subscribed",
        "offering_not_active",
        "not_published",
        "unknown_rate_plan",
        "insufficient_funds",
    )

    @extend_schema(
        request=MigrateBody,
        responses=PolymorphicProxySerializer(
            component_name="Migration",
            serializers=[MoveAnswer, SubscriptionAnswer],
            resource_type_field_name=None,
        ),
    )
    def post(self, request: Request, subscription_id: UUID) -> HttpResponse:
        """Change the plan now or with the next renewal; or preview a change now: what both sides
        owe, which credits stay and are added, what changes, and what is due at once.
        """
        body = self.read(MigrateBody, request)
        if body["preview"]:
            return Response(self._previewed(subscription_id, body))
        is_now = body["at"] == changes.When.NOW
        act = mid_period.change_plan if is_now else plan_changes.change_with_period
        changes.prepare(livemode=self.livemode, subscription_id=subscription_id)
        return self.once(
            request,
            content={**body, "subscription": subscription_id},
            make=lambda: (
                SubscriptionAnswer(
                    act(
                        livemode=self.livemode,
                        subscription_id=subscription_id,
                        target=self._target(subscription_id, body),
                        reason=body.get("reason", ""),
                    )
                ).data
            ),
            status=200,
        )

    def _previewed(self, subscription_id: UUID, body: dict[str, Any]) -> dict[str, object]:
        """Return the forecast of both sides, and what a change now would write."""
        subscription = subscribing.get_subscription(
            livemode=self.livemode, subscription_id=subscription_id
        )
        target = self._target(subscription_id, body)
        move = plan_change.preview_move(subscription=subscription, target=target)
        due = plan_change_rehearsal.due_now(subscription=subscription, target=target)
        return {**plan_change_rows.describe(move), "due_now": due}

    def _target(self, subscription_id: UUID, body: dict[str, Any]) -> plan_changes.PlanTarget:
        """Return what is named; without an offering, another version of the subscription's own."""
        code, version = body.get("offering"), body.get("version")
        if code is None and version is None:
            raise Invalid([FieldError("/offering", "required", "Give offering or version.")])
        offering = (
            subscribing.get_subscription(
                livemode=self.livemode, subscription_id=subscription_id
            ).offering
            if code is None
            else catalogue.find_offering(livemode=self.livemode, code=code)
        )
        return plan_changes.target_of(livemode=self.livemode, offering=offering, version=version)


class UnmigrateView(ChangeView):
    names = {"post": "unmigrateSubscription"}
    refusals = ("unknown_subscription", "no_plan_change")
    operation = "billing.subscriptions.unmigrate"

    @extend_schema(request=ReasonBody, responses=SubscriptionAnswer)
    def post(self, request: Request, subscription_id: UUID) -> HttpResponse:
        """Withdraw a change of plan that is ahead."""
        return self.change(request, subscription_id, plan_changes.withdraw)


class OfferingMigrationBody(StrictSerializer):
    to_offering = serializers.CharField(max_length=64, required=False)
    to_version = VersionField(required=False)


class OldestFirst(NewestFirst):
    ordering = "pk"
    page_size = 50


class MovesAnswer(serializers.Serializer[Any]):
    changes = serializers.ListField(child=serializers.DictField())
    data = serializers.ListField(child=serializers.DictField())  # type: ignore[assignment]
    next = serializers.URLField(allow_null=True)


class OfferingMigrationView(ApiView):
    scope = ApiScope.BILLING
    names = {"post": "previewOfferingMigration"}
    refusals = ("unknown_offering", "unknown_rate_plan", "not_published")
    posted = ("cursor", "page_size")

    @extend_schema(
        request=OfferingMigrationBody,
        responses=MovesAnswer,
        parameters=[OpenApiParameter("cursor", str), OpenApiParameter("page_size", int)],
    )
    def post(self, request: Request, code: str) -> Response:
        """Preview moving every subscription of an offering, page by page, oldest first.

        Send the same body to `next`. A subscription that cannot move says why in `refused`.
        """
        body = self.read(OfferingMigrationBody, request)
        offering = offerings.get_offering(livemode=self.livemode, code=code)
        target = plan_change.target_from(
            livemode=self.livemode,
            offering=offering,
            to_offering=body.get("to_offering"),
            to_version=body.get("to_version"),
        )
        pages = OldestFirst()
        found = plan_change.movable(livemode=self.livemode, offering=offering)
        page = pages.paginate_queryset(found, request, view=self) or []
        return Response(
            {
                "changes": plan_change_rows.changes_for(page, target),
                "data": [plan_change_rows.row(subscription, target) for subscription in page],
                "next": pages.get_next_link(),
            }
        )
