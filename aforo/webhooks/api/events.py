"""`/v1/webhook-events`: what has happened, to be polled."""

from __future__ import annotations

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from aforo.access.models import ApiScope
from aforo.api.fields import StrictSerializer
from aforo.api.views import ApiView
from aforo.webhooks import feed
from aforo.webhooks.models import OutboxEvent

POSITION_MAX = 9_223_372_036_854_775_807


class EventsQuery(StrictSerializer):
    """`after` is where the answer before it ended; without it, the feed begins."""

    type = serializers.CharField(max_length=50, required=False)
    customer_id = serializers.CharField(max_length=64, required=False)
    after = serializers.IntegerField(min_value=0, max_value=POSITION_MAX, default=0)
    limit = serializers.IntegerField(min_value=1, max_value=500, default=50)


class EventAnswer(serializers.ModelSerializer[OutboxEvent]):
    data = serializers.DictField(source="payload")  # type: ignore[assignment]

    class Meta:
        model = OutboxEvent
        fields = ["id", "position", "type", "livemode", "customer_id", "occurred_at", "data"]


class EventsAnswer(serializers.Serializer[feed.Page]):
    data = EventAnswer(many=True)  # type: ignore[assignment]
    next = serializers.URLField(allow_null=True)
    after = serializers.IntegerField()


class EventsView(ApiView):
    scope = ApiScope.WEBHOOKS
    names = {"get": "listWebhookEvents"}
    query = EventsQuery

    @extend_schema(parameters=[EventsQuery], responses=EventsAnswer)
    def get(self, request: Request) -> Response:
        """Return the events behind `after`, oldest first, and the `after` of the next call."""
        asked = self.asked(request)
        page = feed.read(
            livemode=self.livemode,
            after=asked["after"],
            limit=asked["limit"],
            now=timezone.now(),
            type_=asked.get("type", ""),
            customer_id=asked.get("customer_id", ""),
        )
        here = request.build_absolute_uri()
        following = replace_query_param(here, "after", page.after) if page.is_full else None
        return Response(
            {
                "data": EventAnswer(page.events, many=True).data,
                "next": following,
                "after": page.after,
            }
        )
