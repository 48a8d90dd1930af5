"""API keys in the back office: seen and revoked; issued by `manage.py create_api_key`."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from aforo.access import services
from aforo.access.models import ApiKey, KeyedRequest
from aforo.adminui import ReadOnlyAdmin, action


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    list_display = ["name", "prefix", "livemode", "scopes", "last_used_at", "revoked_at"]
    list_filter = ["livemode"]
    exclude = ["digest"]
    ordering = ["-created_at"]
    actions = ["revoke"]

    @action(description="Revoke, for ever")
    def revoke(self, request: HttpRequest, keys: QuerySet[ApiKey]) -> None:
        """Revoke each chosen key."""
        for key in keys:
            services.revoke_api_key(key=key, now=timezone.now())
        self.message_user(request, f"{len(keys)} revoked.", messages.SUCCESS)


@admin.register(KeyedRequest)
class KeyedRequestAdmin(ReadOnlyAdmin):
    list_display = ["operation", "key", "livemode", "status", "created_at"]
    list_filter = ["livemode", "operation"]
    search_fields = ["key"]
    ordering = ["-created_at"]
