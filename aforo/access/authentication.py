"""Who is calling: a Bearer token or X-API-Key, then the scope that the view asks for."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from aforo.access import acting, addresses, services
from aforo.access.models import ApiKey
from aforo.errors import Forbidden, Unauthorized


class AddressNotAllowed(Forbidden):
    """The key may be used from some networks only, and the request comes from elsewhere.

    Call from there, or widen `networks` of the key.
    """

    default_code = "address_not_allowed"


class Client:
    """The caller in the framework's words: an authenticated program, not a person."""

    is_authenticated = True
    is_anonymous = False
    is_active = True

    def __init__(self, key: ApiKey) -> None:
        self.key = key


def caller(request: Request) -> ApiKey:
    """Return the key that a request came with."""
    key = request.auth
    assert isinstance(key, ApiKey), "every view authenticates by key"
    return key


class ApiKeyAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[Any, ApiKey]:
        """Find the client whose key the request carries, and set it as the actor.

        Raises: Unauthorized, AddressNotAllowed.
        """
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        secret = token.strip() if scheme.lower() == "bearer" else ""
        secret = secret or request.headers.get("X-API-Key", "").strip()
        if not secret:
            raise Unauthorized("Send an API key: Authorization: Bearer sk_... or X-API-Key.")
        key = services.recognise(secret=secret, now=timezone.now())
        if key is None:
            raise Unauthorized("This API key is unknown, expired or revoked.")
        if key.networks:
            _check_address(key, request)
        acting.act_by_key(key)
        request._request.api_key = key  # type: ignore[attr-defined]
        return Client(key), key

    def authenticate_header(self, request: Request) -> str:
        """Return the scheme that a 401 asks for."""
        return 'Bearer realm="aforo"'


def _check_address(key: ApiKey, request: Request) -> None:
    """Check that a request comes from where its key may be used.

    Raises: AddressNotAllowed.
    """
    address = addresses.client_address(request._request)
    networks = map(addresses.read_network, key.networks)
    if address is None or not addresses.lies_in(address, networks):
        raise AddressNotAllowed(f"This key may not be used from {address or 'there'}.")


class HasScope(BasePermission):
    """The permission of a key that has the view's `scope`."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Check the scope.

        Raises: Forbidden, naming the scope.
        """
        scope = getattr(view, "scope", None)
        if scope is None or scope in caller(request).scopes:
            return True
        raise Forbidden(f"This key lacks the scope {scope}.")
