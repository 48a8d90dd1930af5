"""Endpoints: created, changed, switched off and on, deleted; and their secrets."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.db.models import Case, DateTimeField, F, Q, QuerySet, Value, When

from aforo.database.after_commit import after_commit
from aforo.errors import Conflict, NotFound
from aforo.webhooks import addresses, event_filters, feed, locks, signing
from aforo.webhooks.models import EventType, WebhookEndpoint, WebhookSecret, WebhookStream
from aforo.webhooks.services import Notice, emit

logger = logging.getLogger(__name__)

SECRETS_MAX: Final = 5
PREVIOUS_VALID: Final = timedelta(days=1)
BY_HAND: Final = "Switched off by hand."


class UnknownEndpoint(NotFound):
    """There is no such endpoint, or it was deleted.

    Take an id of GET /v1/webhook-endpoints.
    """

    default_code = "unknown_endpoint"


class TooManySecrets(Conflict):
    """Five secrets of the endpoint are valid already.

    Wait until one has expired, or rotate with `previous_expires_in` 0.
    """

    default_code = "too_many_secrets"


def living() -> QuerySet[WebhookEndpoint]:
    """Return the endpoints that were not deleted."""
    return WebhookEndpoint.objects.filter(deleted_at=None)


def get(*, livemode: bool, endpoint_id: UUID) -> WebhookEndpoint:
    """Return an endpoint.

    Raises: UnknownEndpoint.
    """
    found = living().filter(livemode=livemode, pk=endpoint_id).first()
    if found is None:
        raise UnknownEndpoint(f"There is no endpoint {endpoint_id}.")
    return found


def check(*, livemode: bool, url: str | None, events: Sequence[str]) -> None:
    """Check what an endpoint is to be; looks the name of its host up, so before any transaction.

    Raises: Invalid.
    """
    event_filters.check(events, "/events/{}")
    if url is not None:
        addresses.check_url(url, livemode=livemode)


@transaction.atomic
def create(*, livemode: bool, terms: Mapping[str, Any]) -> tuple[WebhookEndpoint, str]:
    """Create an endpoint of checked terms; return it with its secret, which is not shown again."""
    endpoint = WebhookEndpoint.objects.create(livemode=livemode, **terms)
    secret = signing.new_secret(endpoint)
    secret.save()
    return endpoint, signing.shown(secret)


@transaction.atomic
def change(
    *, endpoint: WebhookEndpoint, terms: Mapping[str, Any], enabled: bool | None, now: datetime
) -> WebhookEndpoint:
    """Change checked terms of an endpoint, and switch it on or off."""
    if terms:
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(**terms)
    if enabled:
        switch_on(endpoint_id=endpoint.pk, now=now)
    elif enabled is not None:
        switch_off(endpoint_id=endpoint.pk, reason=BY_HAND, now=now)
    return WebhookEndpoint.objects.get(pk=endpoint.pk)


@transaction.atomic
def switch_on(*, endpoint_id: UUID, now: datetime) -> None:
    """Switch an endpoint on: what it has missed is sent first, in order, and at once."""
    locks.lock_feed()
    off = living().filter(pk=endpoint_id, off_at__isnull=False).first()
    if off is None:
        return
    # Its streams before itself, as whoever records an attempt locks them. What somebody is at work
    # on stays his until then.
    waiting = When(lease=None, due_at__gt=now, then=Value(now, DateTimeField()))
    WebhookStream.objects.filter(endpoint=endpoint_id).update(
        due_at=Case(waiting, default=F("due_at"))
    )
    living().filter(pk=endpoint_id).update(
        off_at=None, off_reason="", off_position=None, failing_since=None
    )
    feed.catch_up(endpoint_id=endpoint_id, after=off.off_position or 0, now=now)


@transaction.atomic
def switch_off(*, endpoint_id: UUID, reason: str, now: datetime) -> bool:
    """Switch an endpoint off; return whether it was on. What is pending waits.

    Unless it was done by hand, others are told: by an event, in the log, and by mail where
    somebody is named for that.
    """
    was_on = (
        living()
        .filter(pk=endpoint_id, off_at=None)
        .update(off_at=now, off_reason=reason, off_position=feed.top())
    )
    if was_on and reason != BY_HAND:
        _tell(WebhookEndpoint.objects.get(pk=endpoint_id), now)
    return bool(was_on)


def _tell(endpoint: WebhookEndpoint, now: datetime) -> None:
    logger.error("Webhooks to %s were switched off: %s", endpoint.url, endpoint.off_reason)
    facts = {"endpoint": endpoint.pk, "url": endpoint.url, "reason": endpoint.off_reason}
    emit(
        [
            Notice(
                endpoint.livemode,
                endpoint.customer_id,
                EventType.ENDPOINT_SWITCHED_OFF,
                facts,
                now,
            )
        ]
    )
    if settings.NOTICES_TO:
        text = (
            f"Nothing is sent to {endpoint.url} any more: {endpoint.off_reason}\n\n"
            "Switched on again (PATCH, or in the back office), it gets what it has missed.\n"
        )
        after_commit(
            f"writing of the endpoint {endpoint.pk}",
            lambda: send_mail("Aforo: webhooks were switched off", text, None, settings.NOTICES_TO),
        )


@transaction.atomic
def remove(*, endpoint: WebhookEndpoint, now: datetime) -> None:
    """Remove an endpoint with its secrets; what was sent to it can still be read."""
    living().filter(pk=endpoint.pk).update(deleted_at=now)
    WebhookSecret.objects.filter(endpoint=endpoint).delete()


def valid_secrets(*, endpoint_id: UUID, now: datetime) -> list[WebhookSecret]:
    """Return the secrets that are valid, the newest first."""
    valid = Q(expires_at=None) | Q(expires_at__gt=now)
    return list(WebhookSecret.objects.filter(valid, endpoint=endpoint_id).order_by("-id"))


@transaction.atomic
def rotate(
    *, endpoint: WebhookEndpoint, now: datetime, previous_valid: timedelta = PREVIOUS_VALID
) -> tuple[str, datetime]:
    """Make a new secret; return it, and when those before it expire.

    Until then every message is signed by each. Raises: TooManySecrets.
    """
    expires_at = now + previous_valid
    valid = WebhookSecret.objects.filter(Q(expires_at=None) | Q(expires_at__gt=expires_at))
    valid.filter(endpoint=endpoint).update(expires_at=expires_at)
    if len(valid_secrets(endpoint_id=endpoint.pk, now=now)) >= SECRETS_MAX:
        raise TooManySecrets(f"{SECRETS_MAX} secrets of the endpoint are valid already.")
    secret = signing.new_secret(endpoint)
    secret.save()
    return signing.shown(secret), expires_at
