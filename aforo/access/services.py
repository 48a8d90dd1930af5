"""Issue and recognise API keys."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import Q

from aforo.access import addresses
from aforo.access.models import ApiKey, ApiScope
from aforo.errors import Conflict, FieldError, Forbidden, Invalid, NotFound, Rejected

CACHE_SECONDS = 2
# How long a rotated key stays valid beside its successor, unless it is said otherwise.
PREVIOUS_VALID: Final = timedelta(days=1)
# What limits a key beside its scopes.
TERMS: Final = ("customer_id", "networks", "requests_per_minute", "expires_at")
LAST_USED_EVERY = timedelta(minutes=5)

_known: dict[str, tuple[float, ApiKey]] = {}


class UnknownScope(Rejected):
    """A key was asked for with a scope that does not exist.

    Use the scopes that the message names.
    """

    default_code = "unknown_scope"


class UnknownKey(NotFound):
    """No API key of the mode has this id.

    Take it from GET /v1/api-keys.
    """

    default_code = "unknown_key"


class KeyEnded(Conflict):
    """The API key has expired or was revoked, so it cannot be rotated.

    Issue a new one.
    """

    default_code = "key_ended"


class WiderThanItself(Forbidden):
    """A key may issue or change keys only within what it may do itself.

    Ask for no more scopes, networks, requests and time than the key in use has.
    """

    default_code = "wider_than_itself"


def digest(secret: str) -> str:
    """Hash a key for storage and look-up."""
    return hashlib.sha256(secret.encode()).hexdigest()


def create_api_key(
    *,
    livemode: bool,
    name: str,
    scopes: Sequence[str] = (),
    by: ApiKey | None = None,
    **terms: Any,
) -> tuple[ApiKey, str]:
    """Issue a key, with all scopes if none is named; return it and its secret, which is shown once
    and never again.

    `terms` are `customer_id`, `networks`, `requests_per_minute` and `expires_at`. A key that issues
    another, `by`, passes on no more than it may do itself; what is left out is as its own.
    Raises: UnknownScope, Invalid, WiderThanItself.
    """
    unknown = sorted(set(scopes) - set(ApiScope.values))
    if unknown:
        known = ", ".join(ApiScope.values)
        raise UnknownScope(f"There is no scope {', '.join(unknown)}; there are {known}.")
    asked = {"scopes": list(scopes), **terms}
    if by is not None:
        own = {"scopes": by.scopes, **{name: getattr(by, name) for name in TERMS}}
        asked = {name: asked.get(name) or own[name] for name in own}
    asked["scopes"] = asked["scopes"] or list(ApiScope.values)
    key, secret = _drawn(ApiKey(livemode=livemode, name=name, **_checked(asked)))
    _check_within(key, by)
    key.save(force_insert=True)
    return key, secret


def change_api_key(*, key: ApiKey, changes: Mapping[str, Any], by: ApiKey | None = None) -> ApiKey:
    """Change the name or the terms of a key, of which `customer_id` is fixed; here at once, and in
    other processes within two seconds.

    Raises: Invalid, WiderThanItself.
    """
    for name, value in _checked(changes).items():
        setattr(key, name, value)
    _check_within(key, by)
    key.save(update_fields=list(changes))
    _known.pop(key.digest, None)
    return key


def rotate_api_key(
    *,
    key: ApiKey,
    now: datetime,
    previous_valid: timedelta = PREVIOUS_VALID,
    by: ApiKey | None = None,
) -> tuple[ApiKey, str]:
    """Issue a key with the terms of another, which ends after an overlap; return the new one and
    its secret.

    Raises: KeyEnded, WiderThanItself.
    """
    _check_within(key, by)
    if key.revoked_at is not None or _is_over(key, now):
        raise KeyEnded(f"The key {key} has ended; issue a new one.")
    terms = {name: getattr(key, name) for name in ("livemode", "name", "scopes", *TERMS)}
    successor, secret = _drawn(ApiKey(**terms, replaces=key))
    end = now + previous_valid
    with transaction.atomic():
        successor.save(force_insert=True)
        sooner = Q(expires_at=None) | Q(expires_at__gt=end)
        ApiKey.objects.filter(sooner, pk=key.pk).update(expires_at=end)
    _known.pop(key.digest, None)
    return successor, secret


def get_api_key(*, livemode: bool, key_id: int) -> ApiKey:
    """Return a key of a mode.

    Raises: UnknownKey.
    """
    found = ApiKey.objects.filter(livemode=livemode, pk=key_id).first()
    if found is None:
        raise UnknownKey(f"There is no key {key_id}.")
    return found


def revoke_api_key(*, key: ApiKey, now: datetime) -> None:
    """Revoke a key: it is useless at once here, and within two seconds in other processes."""
    ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=now)
    _known.pop(key.digest, None)


def _drawn(key: ApiKey) -> tuple[ApiKey, str]:
    """Draw the secret of a key that is not saved yet."""
    secret = f"sk_{'live' if key.livemode else 'test'}_{secrets.token_hex(32)}"
    key.prefix, key.digest = secret[:16], digest(secret)
    return key, secret


def _checked(terms: Mapping[str, Any]) -> dict[str, Any]:
    """Return terms with their networks in canonical form.

    Raises: Invalid.
    """
    if "networks" not in terms:
        return dict(terms)
    return {**terms, "networks": check_networks(terms["networks"] or [])}


def check_networks(texts: Sequence[str]) -> list[str]:
    """Return networks in canonical form.

    Raises: Invalid.
    """
    networks, faults = [], []
    for position, text in enumerate(texts):
        try:
            networks.append(str(addresses.read_network(text)))
        except ValueError as error:
            faults.append(FieldError(f"/networks/{position}", "invalid_network", f"{error}."))
    if faults:
        raise Invalid(faults)
    return networks


def _check_within(key: ApiKey, by: ApiKey | None) -> None:
    """Check that a key may do nothing that the one which issues or changes it may not.

    Raises: WiderThanItself.
    """
    if by is None:
        return
    wider = {
        "scopes": not set(key.scopes) <= set(by.scopes),
        "customer_id": by.customer_id not in {"", key.customer_id},
        "networks": not addresses.covered(key.networks, by.networks),
        "requests_per_minute": _is_above(key.requests_per_minute, by.requests_per_minute),
        "expires_at": _is_above(key.expires_at, by.expires_at),
    }
    if any(wider.values()):
        names = ", ".join(name for name, is_wider in wider.items() if is_wider)
        raise WiderThanItself(f"This key may pass on no more than it has: {names}.")


def _is_over(key: ApiKey, now: datetime) -> bool:
    return key.expires_at is not None and key.expires_at <= now


def _is_above(value: Any, limit: Any) -> bool:
    """Return whether a value, None for none, exceeds a limit, None for none."""
    return limit is not None and (value is None or value > limit)


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
    return None if _is_over(key, now) else key


def _touch(*, key: ApiKey, now: datetime) -> None:
    """Write the time of the last use, at most every five minutes: a busy key is no hot row."""
    if key.last_used_at is None or now - key.last_used_at >= LAST_USED_EVERY:
        stale = Q(last_used_at=None) | Q(last_used_at__lte=now - LAST_USED_EVERY)
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)
        key.last_used_at = now
