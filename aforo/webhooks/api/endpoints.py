"""`/v1/webhook-endpoints`: whom events are sent to, and what came of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.access.models import ApiScope
from aforo.api.fields import NothingBody, StrictSerializer
from aforo.api.views import ApiView, SecretView
from aforo.webhooks import delivery, endpoints
from aforo.webhooks.models import WebhookDelivery, WebhookEndpoint

PREVIOUS_EXPIRES_IN_MAX = 30 * 24 * 60 * 60


class _Terms(StrictSerializer):
    events = serializers.ListField(
        child=serializers.CharField(max_length=50), max_length=100, required=False
    )
    customer_id = serializers.CharField(max_length=64, required=False, allow_blank=True)
    description = serializers.CharField(max_length=200, required=False, allow_blank=True)


class EndpointBody(_Terms):
    """`events` are types or `subject.*`, none for all; an empty `customer_id` is all customers."""

    url = serializers.CharField(max_length=2_000)


class EndpointChange(_Terms):
    """What is left out stays."""

    url = serializers.CharField(max_length=2_000, required=False)
    enabled = serializers.BooleanField(required=False)


class RotateBody(StrictSerializer):
    """The secrets until now stay valid for `previous_expires_in` seconds, a day without it."""

    previous_expires_in = serializers.IntegerField(
        min_value=0, max_value=PREVIOUS_EXPIRES_IN_MAX, required=False
    )


class EndpointAnswer(serializers.ModelSerializer[WebhookEndpoint]):
    events = serializers.ListField(child=serializers.CharField())
    enabled = serializers.SerializerMethodField()

    class Meta:
        model = WebhookEndpoint
        fields = [
            "id", "livemode", "url", "events", "customer_id", "description", "enabled", "off_at",
            "off_reason", "failing_since", "created_at",
        ]  # fmt: skip

    def get_enabled(self, endpoint: WebhookEndpoint) -> bool:
        """Return whether events are sent to it."""
        return endpoint.off_at is None


class NewEndpointAnswer(EndpointAnswer):
    """The secret is shown once: it is null where the answer is replayed."""

    secret = serializers.CharField(allow_null=True)

    class Meta(EndpointAnswer.Meta):
        fields = [*EndpointAnswer.Meta.fields, "secret"]


class SecretAnswer(serializers.Serializer[Any]):
    """The secret is shown once: it is null where the answer is replayed."""

    secret = serializers.CharField(allow_null=True)
    previous_expires_at = serializers.DateTimeField()


class DeliveryAnswer(serializers.ModelSerializer[WebhookDelivery]):
    event = serializers.UUIDField(source="event_id")
    type = serializers.CharField(source="event.type")
    customer_id = serializers.CharField(source="event.customer_id")

    class Meta:
        model = WebhookDelivery
        fields = [
            "id", "event", "type", "customer_id", "status", "attempts", "created_at",
            "attempted_at", "response_status", "response_excerpt", "error",
        ]  # fmt: skip


class EndpointsView(SecretView, generics.ListAPIView[WebhookEndpoint]):
    scope = ApiScope.WEBHOOKS
    names = {"get": "listWebhookEndpoints", "post": "createWebhookEndpoint"}
    operation = "webhooks.endpoints.create"
    serializer_class = EndpointAnswer
    filterset_fields = ["customer_id"]

    def get_queryset(self) -> QuerySet[WebhookEndpoint]:
        """Return the endpoints of the mode."""
        return endpoints.living().filter(livemode=self.livemode)

    @extend_schema(request=EndpointBody, responses={201: NewEndpointAnswer})
    def post(self, request: Request) -> HttpResponse:
        """Create an endpoint."""
        body = self.read(EndpointBody, request)
        endpoints.check(livemode=self.livemode, url=body["url"], events=body.get("events", []))

        def make() -> tuple[Any, str]:
            endpoint, secret = endpoints.create(livemode=self.livemode, terms=body)
            return EndpointAnswer(endpoint).data, secret

        return self.once_with_secret(request, body, make)


class EndpointView(ApiView):
    scope = ApiScope.WEBHOOKS
    names = {
        "get": "getWebhookEndpoint",
        "patch": "updateWebhookEndpoint",
        "delete": "deleteWebhookEndpoint",
    }
    refusals = ("unknown_endpoint",)

    @extend_schema(responses=EndpointAnswer)
    def get(self, request: Request, endpoint_id: UUID) -> Response:
        """Return an endpoint."""
        endpoint = endpoints.get(livemode=self.livemode, endpoint_id=endpoint_id)
        return Response(EndpointAnswer(endpoint).data)

    @extend_schema(request=EndpointChange, responses=EndpointAnswer)
    def patch(self, request: Request, endpoint_id: UUID) -> Response:
        """Change an endpoint, or switch it on or off; what is left out stays."""
        body = self.read(EndpointChange, request)
        endpoint = endpoints.get(livemode=self.livemode, endpoint_id=endpoint_id)
        endpoints.check(livemode=self.livemode, url=body.get("url"), events=body.get("events", []))
        enabled = body.pop("enabled", None)
        changed = endpoints.change(
            endpoint=endpoint, terms=body, enabled=enabled, now=timezone.now()
        )
        return Response(EndpointAnswer(changed).data)

    @extend_schema(responses={200: EndpointAnswer})
    def delete(self, request: Request, endpoint_id: UUID) -> Response:
        """Delete an endpoint: nothing more is sent to it."""
        endpoint = endpoints.get(livemode=self.livemode, endpoint_id=endpoint_id)
        endpoints.remove(endpoint=endpoint, now=timezone.now())
        return Response(EndpointAnswer(endpoint).data)


class RotateSecretView(SecretView):
    scope = ApiScope.WEBHOOKS
    names = {"post": "rotateWebhookSecret"}
    refusals = ("unknown_endpoint", "too_many_secrets")
    operation = "webhooks.endpoints.rotate_secret"

    @extend_schema(request=RotateBody, responses={201: SecretAnswer})
    def post(self, request: Request, endpoint_id: UUID) -> HttpResponse:
        """Make a new secret; messages are signed by those before it, too, until they expire."""
        body = self.read(RotateBody, request)
        endpoint = endpoints.get(livemode=self.livemode, endpoint_id=endpoint_id)
        seconds = body.get("previous_expires_in")
        valid = endpoints.PREVIOUS_VALID if seconds is None else timedelta(seconds=seconds)

        def make() -> tuple[dict[str, datetime], str]:
            secret, until = endpoints.rotate(
                endpoint=endpoint, now=timezone.now(), previous_valid=valid
            )
            return {"previous_expires_at": until}, secret

        return self.once_with_secret(request, {"endpoint": endpoint_id, **body}, make)


class DeliveriesView(ApiView, generics.ListAPIView[WebhookDelivery]):
    scope = ApiScope.WEBHOOKS
    names = {"get": "listWebhookDeliveries"}
    refusals = ("unknown_endpoint",)
    serializer_class = DeliveryAnswer
    filterset_fields = ["status"]
    queryset = WebhookDelivery.objects.none()

    def get_queryset(self) -> QuerySet[WebhookDelivery]:
        """Return the deliveries to the endpoint."""
        if "endpoint_id" not in self.kwargs:
            return WebhookDelivery.objects.none()
        endpoint = endpoints.get(livemode=self.livemode, endpoint_id=self.kwargs["endpoint_id"])
        return WebhookDelivery.objects.filter(endpoint=endpoint).select_related("event")


class ReplayView(ApiView):
    scope = ApiScope.WEBHOOKS
    names = {"post": "replayWebhookDelivery"}
    refusals = ("unknown_endpoint", "unknown_delivery", "still_pending")
    operation = "webhooks.deliveries.replay"

    @extend_schema(request=None, responses={201: DeliveryAnswer})
    def post(self, request: Request, endpoint_id: UUID, delivery_id: int) -> HttpResponse:
        """Send the event of a delivery again, outside the order of its customer."""
        self.read(NothingBody, request)
        endpoint = endpoints.get(livemode=self.livemode, endpoint_id=endpoint_id)
        found = delivery.get(endpoint=endpoint, delivery_id=delivery_id)
        return self.once(
            request,
            content={"delivery": delivery_id},
            make=lambda: DeliveryAnswer(delivery.replay(delivery=found, now=timezone.now())).data,
        )
