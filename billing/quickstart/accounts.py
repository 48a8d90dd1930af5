"""Accounts and keys of quickstart, and the file that they are stored in.

Guarantees: no account that exists is changed; no live key is created in a database that quickstart
did not create, nor a second one where it did.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connection

from aforo.access import services as access
from aforo.access.models import ApiKey

ADMIN = "admin"
KEYS = {False: "AFORO_TEST_KEY", True: "AFORO_LIVE_KEY"}
PASSWORD = "AFORO_ADMIN_PASSWORD"  # noqa: S105
NAME = "Quickstart"


@dataclass(frozen=True, slots=True)
class Credentials:
    """The credentials printed at the end: the sandbox's key, and what is known of the others."""

    sandbox_key: str
    live_key: str
    admin: str


def is_ours() -> bool:
    """Return whether the database belongs to quickstart: embedded, empty, or one that knows the
    stored key.
    """
    if not os.environ.get("DATABASE_URL") or not connection.introspection.table_names():
        return True
    if ApiKey._meta.db_table not in connection.introspection.table_names():
        return False
    kept = _kept().get(KEYS[False], "")
    found = ApiKey.objects.filter(digest=access.digest(kept), name=NAME, livemode=False)
    return bool(kept) and found.exists()


def credentials(*, is_ours: bool, now: datetime) -> Credentials:
    """Return the keys and the admin, creating what is missing; stored in var/quickstart.env
    (0600).
    """
    kept = _kept()
    shown = {False: _key(kept, livemode=False, now=now), True: ""}
    if is_ours:
        shown[True] = _live_key(kept, now)
    admin = _admin(kept, is_ours=is_ours)
    path = _path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text("".join(f"{name}={value}\n" for name, value in kept.items()))
    return Credentials(
        sandbox_key=shown[False],
        live_key=shown[True] or "make one: manage.py create_api_key --mode live --name NAME",
        admin=admin,
    )


def _key(kept: dict[str, str], *, livemode: bool, now: datetime) -> str:
    secret = kept.get(KEYS[livemode], "")
    if not secret or access.recognise(secret=secret, now=now) is None:
        _, secret = access.create_api_key(livemode=livemode, name=NAME)
        kept[KEYS[livemode]] = secret
    return secret


def _live_key(kept: dict[str, str], now: datetime) -> str:
    """Return the live key, or create the first one; a lost or revoked one is not replaced."""
    secret = kept.get(KEYS[True], "")
    if secret and access.recognise(secret=secret, now=now) is not None:
        return secret
    if ApiKey.objects.filter(livemode=True, name=NAME).exists():
        return ""
    return _key(kept, livemode=True, now=now)


def _admin(kept: dict[str, str], *, is_ours: bool) -> str:
    """Return the admin's name, created if it is the first account, with the password while that is
    unchanged.
    """
    users = get_user_model()._default_manager
    found = users.filter(username=ADMIN).first()
    if found is None and is_ours and not users.exists():
        kept[PASSWORD] = secrets.token_urlsafe(12)
        found = get_user_model().objects.create_superuser(ADMIN, password=kept[PASSWORD])
    if found is None:
        return "with an account that you have; else: manage.py createsuperuser"
    if found.check_password(kept.get(PASSWORD, "")):
        return f"{ADMIN} / {kept[PASSWORD]}"
    return f"{ADMIN}, whose password was set before; else: manage.py changepassword {ADMIN}"


def _kept() -> dict[str, str]:
    path = _path()
    if not path.exists():
        return {}
    return dict(line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)


def _path() -> Path:
    path: Path = settings.VAR_DIR / "quickstart.env"
    return path
