"""Secrets, and signatures by them as Standard Webhooks has them.

No secret is in the database: it is an HMAC of a random salt, which is, by a key of the environment
(docs/decisions.md#d353).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from datetime import datetime

from django.conf import settings

from aforo.webhooks.models import WebhookEndpoint, WebhookSecret

PREFIX = "whsec_"


class KeyMissing(Exception):
    """A secret's key is no longer in the environment."""


def new_secret(endpoint: WebhookEndpoint) -> WebhookSecret:
    """Return the row of a new secret, unsaved."""
    return WebhookSecret(
        endpoint=endpoint, salt=secrets.token_hex(32), key_digest=_digest(settings.WEBHOOK_KEYS[0])
    )


def shown(secret: WebhookSecret) -> str:
    """Return a secret as its receiver gets it."""
    return PREFIX + base64.b64encode(_bytes(secret)).decode()


def sign(
    rows: Iterable[WebhookSecret], *, message_id: str, body: bytes, now: datetime
) -> dict[bytes | str, bytes | str]:
    """Return the headers of a message, with a signature by each secret.

    Raises: KeyMissing.
    """
    timestamp = str(int(now.timestamp()))
    content = f"{message_id}.{timestamp}.".encode() + body
    signatures = (hmac.new(_bytes(row), content, hashlib.sha256).digest() for row in rows)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(
            f"v1,{base64.b64encode(each).decode()}" for each in signatures
        ),
    }


def _bytes(secret: WebhookSecret) -> bytes:
    for key in settings.WEBHOOK_KEYS:
        if _digest(key) == secret.key_digest:
            salt = f"aforo webhook {secret.salt}".encode()
            return hmac.new(key.encode(), salt, hashlib.sha256).digest()
    raise KeyMissing("The key that the secret was made of is not in WEBHOOK_KEYS.")


def _digest(key: str) -> str:
    return hashlib.sha256(f"aforo webhook key {key}".encode()).hexdigest()[:16]
