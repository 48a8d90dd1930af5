"""Limit guessing at passwords: every attempt is counted before it is answered.

Failures are counted by user name, whoever has it or nobody: addresses are easily changed, and
behind a proxy they are all the same. After a few failures in a row each further attempt has to wait
longer, up to a quarter of an hour, so that a day has about a hundred guesses.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any, Final

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import HttpRequest
from django.utils import timezone

from aforo.access.models import LoginFailures

# This many failures in a row cause no wait.
FREE: Final = 5
LONGEST: Final = timedelta(minutes=15)
# Failures are forgotten after this long without another.
MEMORY: Final = timedelta(days=1)

# One statement, so that attempts made at the same moment count one another.
_COUNT = """
    INSERT INTO access_loginfailures AS known (name_digest, failures, last_at)
    VALUES (%(name)s, 1, %(now)s)
    ON CONFLICT (name_digest) DO UPDATE
    SET failures = CASE WHEN known.last_at < %(now)s - %(memory)s THEN 1
                        ELSE least(known.failures + 1, 1000) END,
        last_at = %(now)s
    WHERE known.failures < %(free)s OR known.last_at <= %(now)s
        - least(%(longest)s, interval '1 minute' * power(2, least(known.failures - %(free)s, 10)))
    RETURNING failures
"""


class Backend(ModelBackend):
    """The accounts of the database, with attempts limited."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> User | None:
        """Return the user of a name and password; an attempt that comes too early is not tried."""
        if username is None or password is None:
            return None
        if not begin_attempt(username=username, now=timezone.now()):
            raise PermissionDenied
        user = super().authenticate(request, username=username, password=password, **kwargs)
        if user is not None:
            forget_failures(username=username)
        return user


def begin_attempt(*, username: str, now: datetime) -> bool:
    """Count an attempt as failed until it succeeds; return whether it may be made now."""
    LoginFailures.objects.filter(last_at__lt=now - MEMORY).delete()
    asked: dict[str, Any] = {
        "name": _digest(username),
        "now": now,
        "free": FREE,
        "longest": LONGEST,
        "memory": MEMORY,
    }
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, asked)
        return cursor.fetchone() is not None


def forget_failures(*, username: str) -> None:
    """Delete the count of failures, after a success or because a colleague vouches."""
    LoginFailures.objects.filter(name_digest=_digest(username)).delete()


def wait(*, username: str, now: datetime) -> timedelta:
    """Return how long the next attempt has to wait."""
    known = LoginFailures.objects.filter(name_digest=_digest(username)).first()
    if known is None or known.failures < FREE:
        return timedelta(0)
    pause = min(LONGEST, timedelta(minutes=2 ** min(known.failures - FREE, 10)))
    return max(known.last_at + pause - now, timedelta(0))


def _digest(username: str) -> str:
    """Hash what was typed as a user name: sometimes it is a password."""
    return hashlib.sha256(username.casefold().encode()).hexdigest()
