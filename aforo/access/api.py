"""`/v1/api-keys`: keys issued, limited, rotated and revoked by programs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.access import services
from aforo.access.authentication import caller
from aforo.access.models import ApiKey, ApiScope
from aforo.api.fields import StrictSerializer, TimeField
from aforo.api.views import SecretView

MOST_NETWORKS = 100
MOST_PER_MINUTE = 1_000_000
PREVIOUS_EXPIRES_IN_MAX = 30 * 24 * 60 * 60


class _Terms(StrictSerializer):
    name = serializers.CharField(max_length=100, required=False)
    networks = serializers.ListField(
        child=serializers.CharField(max_length=50),
        max_length=MOST_NETWORKS,
        required=False,
        help_text="Where it may call from, as 203.0.113.0/24; none is anywhere.",
    )
    requests_per_minute = serializers.IntegerField(
        min_value=1, max_value=MOST_PER_MINUTE, required=False, allow_null=True
    )
    expires_at = TimeField(required=False, allow_null=True)


class KeyBody(_Terms):
    """What is left out is as the key has it that issues it; without scopes it has all of these."""

    name = serializers.CharField(max_length=100)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=ApiScope.choices), max_length=20, required=False
    )
    customer_id = serializers.CharField(
        max_length=64, required=False, help_text="The one customer that it acts for."
    )


class KeyChange(_Terms):
    """What is left out stays; null and an empty list take a limit away."""


class RotateKeyBody(StrictSerializer):
    """The old key stays valid for `previous_expires_in` seconds, a day without it."""

    previous_expires_in = serializers.IntegerField(
        min_value=0, max_value=PREVIOUS_EXPIRES_IN_MAX, required=False
    )


class KeyAnswer(serializers.ModelSerializer[ApiKey]):
    scopes = serializers.ListField(child=serializers.CharField())
    networks = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = ApiKey
        fields = [
            "id", "livemode", "name", "prefix", "scopes", *services.TERMS, "replaces",
            "created_at", "last_used_at", "revoked_at",
        ]  # fmt: skip


class NewKeyAnswer(KeyAnswer):
    """The secret is shown once: it is null where the answer is replayed."""

    secret = serializers.CharField(allow_null=True)

    class Meta(KeyAnswer.Meta):
        fields = [*KeyAnswer.Meta.fields, "secret"]


class ApiKeysView(SecretView, generics.ListAPIView[ApiKey]):
    scope = ApiScope.KEYS
    names = {"get": "listApiKeys", "post": "createApiKey"}
    refusals = ("wider_than_itself",)
    operation = "access.keys.create"
    serializer_class = KeyAnswer
    filterset_fields = ["customer_id"]

    def get_queryset(self) -> QuerySet[ApiKey]:
        """Return the keys of the mode."""
        return ApiKey.objects.filter(livemode=self.livemode)

    @extend_schema(request=KeyBody, responses={201: NewKeyAnswer})
    def post(self, request: Request) -> HttpResponse:
        """Issue a key that may do no more than the one in use."""
        body = self.read(KeyBody, request)

        def make() -> tuple[Any, str]:
            key, secret = services.create_api_key(
                livemode=self.livemode, by=caller(request), **body
            )
            return KeyAnswer(key).data, secret

        return self.once_with_secret(request, body, make)


class _OneKeyView(SecretView):
    def customer_of(self, **ids: Any) -> str | None:
        """Return the customer of the key."""
        return services.get_api_key(livemode=self.livemode, key_id=ids["key_id"]).customer_id


class ApiKeyView(_OneKeyView):
    scope = ApiScope.KEYS
    names = {"get": "getApiKey", "patch": "updateApiKey", "delete": "revokeApiKey"}
    refusals = ("unknown_key", "wider_than_itself")

    @extend_schema(responses=KeyAnswer)
    def get(self, request: Request, key_id: int) -> Response:
        """Return a key, without its secret."""
        return Response(KeyAnswer(self._found(key_id)).data)

    @extend_schema(request=KeyChange, responses=KeyAnswer)
    def patch(self, request: Request, key_id: int) -> Response:
        """Change the name or the limits of a key; what is left out stays."""
        body = self.read(KeyChange, request)
        changed = services.change_api_key(key=self._found(key_id), changes=body, by=caller(request))
        return Response(KeyAnswer(changed).data)

    @extend_schema(responses={200: KeyAnswer})
    def delete(self, request: Request, key_id: int) -> Response:
        """Revoke a key for ever: at once here, within two seconds in other processes."""
        services.revoke_api_key(key=self._found(key_id), now=timezone.now())
        return Response(KeyAnswer(self._found(key_id)).data)

    def _found(self, key_id: int) -> ApiKey:
        return services.get_api_key(livemode=self.livemode, key_id=key_id)


class RotateKeyView(_OneKeyView):
    scope = ApiScope.KEYS
    names = {"post": "rotateApiKey"}
    refusals = ("unknown_key", "key_ended", "wider_than_itself")
    operation = "access.keys.rotate"

    @extend_schema(request=RotateKeyBody, responses={201: NewKeyAnswer})
    def post(self, request: Request, key_id: int) -> HttpResponse:
        """Issue a key with the same terms; the old one stays valid beside it for an overlap."""
        body = self.read(RotateKeyBody, request)
        key = services.get_api_key(livemode=self.livemode, key_id=key_id)
        seconds = body.get("previous_expires_in")
        valid = services.PREVIOUS_VALID if seconds is None else timedelta(seconds=seconds)

        def make() -> tuple[Any, str]:
            successor, secret = services.rotate_api_key(
                key=key, now=timezone.now(), previous_valid=valid, by=caller(request)
            )
            return KeyAnswer(successor).data, secret

        return self.once_with_secret(request, {"key": key_id, **body}, make)
