"""The outbox, the endpoints and what came of deliveries, in the back office.

A secret is on the page that answers its making, and nowhere again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from aforo.adminui.admins import ModelAdmin, ReadOnlyAdmin, ReadOnlyInline, Sent
from aforo.adminui.forms import Form, LineInput, add_faults
from aforo.adminui.pages import action, found, page_action, show_secret
from aforo.errors import DomainError, Invalid
from aforo.webhooks import delivery, endpoints
from aforo.webhooks.models import (
    OutboxEvent,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookSecret,
    WebhookStream,
)

CHANGED = ["url", "events", "customer_id", "description"]
SHOWN = ["failing_since", "off_at", "off_reason", "deleted_at", "created_at"]


@admin.register(OutboxEvent)
class OutboxEventAdmin(ReadOnlyAdmin):
    list_display = ["type", "customer_id", "livemode", "occurred_at", "position"]
    list_filter = ["type", "livemode", "occurred_at"]
    search_fields = ["customer_id", "=id"]
    ordering = ["-id"]
    show_full_result_count = False


class EndpointForm(forms.ModelForm[WebhookEndpoint]):
    class Meta:
        model = WebhookEndpoint
        fields = ["livemode", *CHANGED]
        widgets = {
            "url": LineInput(attrs={"placeholder": "https://example.com/hook"}),
            "events": LineInput(attrs={"placeholder": "wallet.*, invoice.paid"}),
        }

    def clean(self) -> dict[str, Any]:
        """Check address and events by the service that the API calls."""
        cleaned = super().clean() or {}
        if not self.errors:
            try:
                endpoints.check(
                    livemode=cleaned.get("livemode", self.instance.livemode),
                    url=cleaned["url"] if "url" in self.changed_data else None,
                    events=cleaned["events"] or [],
                )
            except Invalid as error:
                add_faults(self, error)
        return cleaned


class RotateForm(Form):
    overlap_hours = forms.IntegerField(
        min_value=0,
        max_value=720,
        initial=24,
        help_text="How long messages are signed by the old secret, too.",
    )


class DeliveryInline(ReadOnlyInline):
    model = WebhookDelivery
    fields = ["event", "status", "attempts", "response_status", "error", "attempted_at"]
    ordering = ["-id"]
    joined = ["event"]


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(ModelAdmin):  # type: ignore[misc]
    form = EndpointForm
    list_display = [
        "url", "livemode", "events", "customer_id", "failing_since", "off_at", "off_reason",
        "deleted_at",
    ]  # fmt: skip
    list_filter = ["livemode"]
    search_fields = ["url", "customer_id"]
    ordering = ["-created_at"]
    actions = ["switch_on", "switch_off"]
    actions_detail = ["rotate"]
    inlines = [DeliveryInline]

    def get_fields(self, request: HttpRequest, obj: WebhookEndpoint | None = None) -> list[Any]:
        """Return what is asked for a new endpoint; of one that exists, how it does too."""
        asked = EndpointForm.Meta.fields
        return asked if obj is None else [*asked, *SHOWN]

    def get_readonly_fields(
        self, request: HttpRequest, obj: WebhookEndpoint | None = None
    ) -> list[str]:
        """Return what nobody types: the mode never changes once the endpoint is there."""
        return [] if obj is None else ["livemode", *SHOWN]

    def get_inlines(self, request: HttpRequest, obj: WebhookEndpoint | None) -> list[Any]:
        """Return its deliveries, once it is there."""
        return [] if obj is None else self.inlines

    def has_change_permission(
        self, request: HttpRequest, obj: WebhookEndpoint | None = None
    ) -> bool:
        """Return whether it may be changed; one that was deleted is only read."""
        return not _is_gone(obj) and bool(super().has_change_permission(request, obj))

    def has_delete_permission(
        self, request: HttpRequest, obj: WebhookEndpoint | None = None
    ) -> bool:
        """Return whether it may be deleted, which happens once."""
        return not _is_gone(obj) and bool(super().has_delete_permission(request, obj))

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, ...]:
        """Return the endpoints alone: what was sent to them can still be read."""
        return [str(each) for each in objs], {}, set(), []

    def add_row(self, sent: Sent) -> WebhookEndpoint:
        """Create an endpoint; its secret stays on the form's row until the page is answered."""
        terms = {name: sent.fields[name] or "" for name in CHANGED if name != "events"}
        endpoint, sent.row.secret = endpoints.create(
            livemode=sent.row.livemode, terms=terms | {"events": sent.fields["events"] or []}
        )
        return endpoint

    def change_row(self, sent: Sent) -> None:
        """Change where and what it is sent."""
        terms = {name: sent.changes[name] for name in CHANGED if name in sent.changes}
        endpoints.change(endpoint=sent.row, terms=terms, enabled=None, now=timezone.now())

    def delete_row(self, row: WebhookEndpoint) -> None:
        """Delete it with its secrets."""
        endpoints.remove(endpoint=row, now=timezone.now())

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> Any:
        """Render the secret of the new endpoint, once."""
        return self._shown(request, obj, obj.secret)

    @page_action(description="New secret", url_path="rotate", permission="change")
    def rotate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for the overlap, then make a new secret."""
        endpoint = found(endpoints.living(), object_id)
        form = RotateForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            overlap = timedelta(hours=form.cleaned_data["overlap_hours"])
            try:
                secret, _ = endpoints.rotate(
                    endpoint=endpoint, now=timezone.now(), previous_valid=overlap
                )
            except DomainError as refusal:
                form.add_error(None, refusal.detail)
            else:
                return self._shown(request, endpoint, secret)
        context = {
            **self.admin_site.each_context(request),
            "title": f"A new secret for {endpoint}",
            "opts": self.opts,
            "form": form,
            "label": "Make the new secret",
        }
        return render(request, "adminui/ask.html", context)

    def _shown(self, request: HttpRequest, endpoint: WebhookEndpoint, secret: str) -> HttpResponse:
        note = "Copy it now: it is shown once. Messages to the endpoint are signed with it."
        title = f"The secret of {endpoint}"
        return show_secret(self, request, endpoint, title=title, secret=secret, note=note)

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


def _is_gone(endpoint: WebhookEndpoint | str | None) -> bool:
    # Buttons of the page ask with the id alone; what they do finds living endpoints only.
    return isinstance(endpoint, WebhookEndpoint) and endpoint.deleted_at is not None


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
