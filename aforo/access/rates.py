"""How many requests a minute a key may send.

The last minute is estimated from two counters, of this minute and of the one before, so a burst at
their border does not get twice as much. Processes share the counters where they share a cache
(CACHE_URL); otherwise each counts by itself. A refused request does not count. Without its cache a
server lets requests pass: the limit protects it from haste, not the credits.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings
from django.core.cache import cache
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from aforo.access.models import ApiKey

logger = logging.getLogger(__name__)

WINDOW: Final = 60


@dataclass(frozen=True, slots=True)
class Quota:
    """What a key has left of its limit; all times are seconds from now."""

    limit: int
    remaining: int
    reset: int
    retry_after: int | None = None

    def headers(self) -> dict[str, str]:
        """Return what an answer says of it."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset),
        }


def take(*, name: str, limit: int, now: int) -> Quota:
    """Count a request under a name at a second, or say when the next one may come."""
    window, into = divmod(now, WINDOW)
    current = f"rate:{name}:{window}"
    before = cache.get(f"rate:{name}:{window - 1}") or 0
    cache.add(current, 0, timeout=2 * WINDOW)
    count = cache.incr(current)
    used = estimate(before=before, count=count, into=into)
    reset = WINDOW - into
    if used <= limit:
        return Quota(limit, limit - used, reset)
    cache.decr(current)
    return Quota(limit, 0, reset, _wait(before=before, count=count - 1, into=into, limit=limit))


def estimate(*, before: int, count: int, into: int) -> int:
    """Return the requests of the last minute: those of this window, and of the one before the part
    of it that the minute still reaches into. Pure.
    """
    return count + before * (WINDOW - into) // WINDOW


def _wait(*, before: int, count: int, into: int, limit: int) -> int:
    """Return the seconds until one more request fits, if no other comes before it."""
    for later in range(into + 1, 2 * WINDOW):
        window, second = divmod(later, WINDOW)
        kept, own = (before, count) if window == 0 else (count, 0)
        if estimate(before=kept, count=own + 1, into=second) <= limit:
            return later - into
    return 2 * WINDOW - into


class KeyThrottle(BaseThrottle):
    """Refuse what goes beyond the limit of the key, or of the server for keys without one."""

    def __init__(self) -> None:
        self.quota: Quota | None = None

    def allow_request(self, request: Request, view: Any) -> bool:
        """Count the request, and keep on it what its answer says of the limit."""
        key = request.auth
        limit = isinstance(key, ApiKey) and (key.requests_per_minute or settings.RATE_LIMIT)
        if not limit:
            return True
        try:
            self.quota = take(name=str(key.pk), limit=limit, now=int(time.time()))
        except Exception:
            logger.exception("Requests are not counted: the cache does not answer")
            return True
        request._request.rate_quota = self.quota  # type: ignore[attr-defined]
        return self.quota.retry_after is None

    def wait(self) -> float | None:
        """Return the seconds until the next request may come."""
        return None if self.quota is None else self.quota.retry_after
