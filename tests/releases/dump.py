"""`python -m tests.releases.dump 0.1.0`: write a filled database of this version as it is released.

It creates a database beside that of development, migrates it, lives through `past.live()`, and
writes it as SQL that PostgreSQL 15 and later read, without owners, roles and settings. Beside it
stand the copies of its seals, which a backup has too.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
NAME = "aforo_release"


def path_of(version: str) -> Path:
    return HERE / f"{version}.sql.gz"


def seals_of(version: str) -> Path:
    return HERE / f"{version}.seals"


def main(version: str) -> None:
    import django

    os.environ |= {"DJANGO_SETTINGS_MODULE": "aforo.settings", "DEBUG": "on"}
    django.setup()
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connection

    from aforo import actors
    from tests.releases import past

    settings.BACKDATED_CYCLES = 1_000
    settings.SEALS_DIR = tempfile.mkdtemp()
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {NAME}")
        cursor.execute(f"CREATE DATABASE {NAME}")
    connection.close()
    connection.settings_dict["NAME"] = NAME
    call_command("migrate", verbosity=0)
    with actors.acting(actors.job("release")):
        past.live()
    found = {key: str(connection.settings_dict[key]) for key in ("HOST", "PORT", "USER")}
    address = ["-h", found["HOST"], "-p", found["PORT"], "-U", found["USER"], NAME]
    written = subprocess.run(
        [shutil.which("pg_dump") or "pg_dump", "--no-owner", "--no-privileges",
         "--rows-per-insert=100", *address],
        env=os.environ | {"PGPASSWORD": connection.settings_dict["PASSWORD"]},
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    shutil.copytree(settings.SEALS_DIR, seals_of(version), dirs_exist_ok=True)
    with path_of(version).open("wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as zipped:
        zipped.write(plain(written).encode())


def plain(written: str) -> str:
    """Return a dump from its first object on, without what only psql or one version reads."""
    body = written[written.index("\nCREATE ") :]
    return re.sub(r"^(--.*|\\(un)?restrict .*|SET default_.*)\n", "", body, flags=re.MULTILINE)


if __name__ == "__main__":
    main(sys.argv[1])
