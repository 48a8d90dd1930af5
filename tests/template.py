"""The migrated database of which each test database is a copy, made anew when a migration changes.

Migrating an empty one takes longer than most suites of one app.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import psycopg
from django.apps import apps
from psycopg import sql

from aforo.devdb import places
from tests import database

PREFIX = "aforo_template_"
# Of the server's maintenance database, where the application takes no locks.
LOCK = 1


def ensure() -> str:
    """Return the name of the template, created if need be; of callers at once, one creates it."""
    name = PREFIX + _digest()
    # However long another one takes to create it.
    patient = "-c lock_timeout=0 -c statement_timeout=0"
    with psycopg.connect(database.url("postgres"), autocommit=True, options=patient) as server:
        server.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        rows = server.execute("SELECT datname FROM pg_database").fetchall()
        there = {found for (found,) in rows if found.startswith(PREFIX)}
        if name not in there:
            _create(server, name, stale=there)
    return name


def _digest() -> str:
    """Return what names a state of all migrations, and of the models of Django's own apps."""
    digest = hashlib.sha256()
    for app in sorted(apps.get_app_configs(), key=lambda app: app.label):
        for path in sorted(Path(app.path, "migrations").glob("*.py")):
            digest.update(f"{app.label}/{path.name}".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _create(server: psycopg.Connection, name: str, *, stale: set[str]) -> None:
    for each in stale:
        server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(each)))
    building = PREFIX + "building"
    server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(building)))
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
        cwd=places.PROJECT,
        env=os.environ | {"DATABASE_URL": database.url(building)},
        check=True,
    )
    rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    server.execute(rename.format(sql.Identifier(building), sql.Identifier(name)))
