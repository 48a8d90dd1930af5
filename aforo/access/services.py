"""Issue and recognise API keys."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models import Q

from aforo.access.models import ApiKey, ApiScope
from aforo.errors import Rejected

CACHE_SECONDS = 2
LAST_USED_EVERY = timedelta(minutes=5)

_known: dict[str, tuple[float, ApiKey]] = {}


class UnknownScope(Rejected):
    """A key was asked for with a scope that does not exist.

    Use the scopes that the message names.
    """

    default_code = "unknown_scope"


def digest(secret: str) -> str:
    """Hash a key for storage and look-up."""
    return hashlib.sha256(secret.encode()).hexdigest()


def create_api_key(*, livemode: bool, name: str, scopes: Sequence[str] = ()) -> tuple[ApiKey, str]:
    """Issue a key, with all scopes if none is named. The secret is returned once and never again.

    Raises: UnknownScope.
    """
    unknown = sorted(set(scopes) - set(ApiScope.values))
    if unknown:
        known = ", ".join(ApiScope.values)
        raise UnknownScope(f"There is no scope {', '.join(unknown)}; there are {known}.")
    secret = f"sk_{'live' if livemode else 'test'}_{secrets.token_hex(32)}"
    key = ApiKey.objects.create(
        livemode=livemode,
        name=name,
        prefix=secret[:16],
        digest=digest(secret),
        scopes=list(scopes) or list(ApiScope.values),
    )
    return key, secret


def revoke_api_key(*, key: ApiKey, now: datetime) -> None:
    """Revoke a key: it is useless at once here, and within two seconds in other processes."""
    ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=now)
    _known.pop(key.digest, None)


def recognise(*, secret: str, now: datetime) -> ApiKey | None:
    """Find the valid key of a secret; the result is reused for two seconds."""
    hashed = digest(secret)
    fetched_at, key = _known.get(hashed, (0.0, None))
    if key is None or time.monotonic() - fetched_at > CACHE_SECONDS:
        unexpired = Q(expires_at=None) | Q(expires_at__gt=now)
        key = ApiKey.objects.filter(unexpired, digest=hashed, revoked_at=None).first()
        if key is None:
            _known.pop(hashed, None)
            return None
        _touch(key=key, now=now)
        _known[hashed] = (time.monotonic(), key)
    return key


def _touch(*, key: ApiKey, now: datetime) -> None:
    """Write the time of the last use, at most every five minutes: a busy key is no hot row."""
    if key.last_used_at is None or now - key.last_used_at >= LAST_USED_EVERY:
        stale = Q(last_used_at=None) | Q(last_used_at__lte=now - LAST_USED_EVERY)
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)
        key.last_used_at = now
