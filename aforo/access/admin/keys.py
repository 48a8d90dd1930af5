"""API keys in the back office: issued, limited, rotated and revoked by their services.

A secret is on the page that answers its issue, and nowhere again.
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

from aforo.access import services
from aforo.access.models import ApiKey, ApiScope
from aforo.adminui.admins import ModelAdmin, Sent
from aforo.adminui.forms import Form, LineInput, add_faults
from aforo.adminui.pages import action, found, page_action, show_secret
from aforo.errors import DomainError, Invalid

FIXED = ["livemode", "scopes", "customer_id"]
CHANGED = ["name", "networks", "requests_per_minute", "expires_at"]
SHOWN = ["prefix", "replaces", "created_at", "last_used_at", "revoked_at"]


class KeyForm(forms.ModelForm[ApiKey]):
    scopes = forms.MultipleChoiceField(
        choices=ApiScope.choices,
        initial=ApiScope.values,
        widget=forms.CheckboxSelectMultiple,
        help_text="What it may do.",
    )

    class Meta:
        model = ApiKey
        fields = [*FIXED, *CHANGED]
        widgets = {"networks": LineInput(attrs={"placeholder": "203.0.113.0/24, 198.51.100.7"})}

    def clean(self) -> dict[str, Any]:
        """Check the networks by the service that writes them."""
        cleaned = super().clean() or {}
        try:
            services.check_networks(cleaned.get("networks") or [])
        except Invalid as error:
            add_faults(self, error)
        return cleaned


class RotateForm(Form):
    overlap_hours = forms.IntegerField(
        min_value=0,
        max_value=720,
        initial=24,
        help_text="How long the old key stays valid beside the new one.",
    )


@admin.register(ApiKey)
class ApiKeyAdmin(ModelAdmin):  # type: ignore[misc]
    form = KeyForm
    list_display = [
        "name", "prefix", "livemode", "customer_id", "scopes", "requests_per_minute",
        "last_used_at", "expires_at", "revoked_at",
    ]  # fmt: skip
    list_filter = ["livemode"]
    search_fields = ["name", "prefix", "customer_id"]
    ordering = ["-created_at"]
    actions = ["revoke"]
    actions_detail = ["rotate"]

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> list[str]:
        """Return what is asked for a new key; of one that exists, what it did too."""
        asked = ["name", *FIXED, *CHANGED[1:]]
        return asked if obj is None else [*asked, *SHOWN]

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> list[str]:
        """Return what never changes, once the key is there."""
        return [] if obj is None else [*FIXED, *SHOWN]

    def add_row(self, sent: Sent) -> ApiKey:
        """Issue a key; its secret stays on the form's row until the page is answered."""
        key, sent.row.secret = services.create_api_key(**sent.fields)
        return key

    def change_row(self, sent: Sent) -> None:
        """Change the name or the limits of a key."""
        key = services.get_api_key(livemode=sent.row.livemode, key_id=sent.row.pk)
        services.change_api_key(key=key, changes=sent.changes)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> Any:
        """Render the secret of the new key, once."""
        return self._shown(request, obj, obj.secret)

    @page_action(description="Rotate", url_path="rotate", permission="change")
    def rotate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for the overlap, then issue a key with the same terms."""
        key = found(ApiKey.objects.all(), object_id)
        form = RotateForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            overlap = timedelta(hours=form.cleaned_data["overlap_hours"])
            try:
                successor, secret = services.rotate_api_key(
                    key=key, now=timezone.now(), previous_valid=overlap
                )
            except DomainError as refusal:
                form.add_error(None, refusal.detail)
            else:
                return self._shown(request, successor, secret)
        context = {
            **self.admin_site.each_context(request),
            "title": f"A new key in place of {key}",
            "opts": self.opts,
            "form": form,
            "label": "Issue the new key",
        }
        return render(request, "adminui/ask.html", context)

    def _shown(self, request: HttpRequest, key: ApiKey, secret: str) -> HttpResponse:
        note = "Copy it now: it is shown once, and only its SHA-256 is kept."
        title = f"The key of {key.name}"
        return show_secret(self, request, key, title=title, secret=secret, note=note)

    @action(description="Revoke, for ever")
    def revoke(self, request: HttpRequest, keys: QuerySet[ApiKey]) -> None:
        """Revoke each chosen key."""
        for key in keys:
            services.revoke_api_key(key=key, now=timezone.now())
        self.message_user(request, f"{len(keys)} revoked.", messages.SUCCESS)
