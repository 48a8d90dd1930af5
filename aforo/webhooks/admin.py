"""The outbox, the endpoints and what came of deliveries, in the back office."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from aforo.adminui.admins import ReadOnlyAdmin
from aforo.adminui.pages import action
from aforo.errors import DomainError
from aforo.webhooks import delivery, endpoints
from aforo.webhooks.models import (
    OutboxEvent,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookSecret,
    WebhookStream,
)


@admin.register(OutboxEvent)
class OutboxEventAdmin(ReadOnlyAdmin):
    list_display = ["type", "customer_id", "livemode", "occurred_at", "position"]
    list_filter = ["type", "livemode", "occurred_at"]
    search_fields = ["customer_id", "=id"]
    ordering = ["-id"]
    show_full_result_count = False


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(ReadOnlyAdmin):
    when_empty = "Endpoints are made by POST /v1/webhook-endpoints, which shows their secret."
    list_display = [
        "url", "livemode", "events", "customer_id", "failing_since", "off_at", "off_reason",
        "deleted_at",
    ]  # fmt: skip
    list_filter = ["livemode"]
    search_fields = ["url", "customer_id"]
    ordering = ["-created_at"]
    actions = ["switch_on", "switch_off"]

    @action(description="Switch on, and send what was missed")
    def switch_on(self, request: HttpRequest, chosen: QuerySet[WebhookEndpoint]) -> None:
        """Switch each chosen endpoint on."""
        for endpoint in chosen:
            endpoints.switch_on(endpoint_id=endpoint.pk, now=timezone.now())
        self.message_user(request, f"{len(chosen)} are on.", messages.SUCCESS)

    @action(description="Switch off")
    def switch_off(self, request: HttpRequest, chosen: QuerySet[WebhookEndpoint]) -> None:
        """Switch each chosen endpoint off."""
        for endpoint in chosen:
            endpoints.switch_off(
                endpoint_id=endpoint.pk, reason=endpoints.BY_HAND, now=timezone.now()
            )
        self.message_user(request, f"{len(chosen)} are off.", messages.SUCCESS)


@admin.register(WebhookSecret)
class WebhookSecretAdmin(ReadOnlyAdmin):
    list_display = ["endpoint", "key_digest", "created_at", "expires_at"]
    list_select_related = ["endpoint"]
    exclude = ["salt"]
    ordering = ["-id"]


@admin.register(WebhookStream)
class WebhookStreamAdmin(ReadOnlyAdmin):
    list_display = ["endpoint", "customer_id", "due_at"]
    list_select_related = ["endpoint"]
    search_fields = ["customer_id"]
    ordering = ["-id"]
    show_full_result_count = False


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnlyAdmin):
    list_display = [
        "event", "endpoint", "status", "attempts", "response_status", "error", "attempted_at",
    ]  # fmt: skip
    list_filter = ["status"]
    list_select_related = ["event", "endpoint"]
    search_fields = ["=event__id", "event__customer_id"]
    ordering = ["-id"]
    show_full_result_count = False
    actions = ["replay"]

    @action(description="Send again, outside the order")
    def replay(self, request: HttpRequest, chosen: QuerySet[WebhookDelivery]) -> None:
        """Send the event of each chosen delivery again."""
        for row in chosen.select_related("event"):
            try:
                delivery.replay(delivery=row, now=timezone.now())
            except DomainError as refusal:
                self.message_user(request, refusal.detail, messages.ERROR)
            else:
                self.message_user(request, f"{row.event_id} is sent again.", messages.SUCCESS)
