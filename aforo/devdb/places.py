"""Where the embedded database lives.

`var/pg/<major>` is a directory or, where the server's user cannot enter the project, a link to one
outside it. Reading never makes anything.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Final

from aforo.devdb.errors import Unavailable

PROJECT: Final = Path(__file__).resolve().parents[2]
ROLE: Final = "aforo"
DATABASE: Final = "aforo"


@dataclass(frozen=True, slots=True)
class Cluster:
    """One cluster: its data, its password and its port, made together and never apart."""

    home: Path
    major: int

    @property
    def data(self) -> Path:
        """The data directory, mode 0700, owned by the server's user."""
        return self.home / "data"

    @property
    def log(self) -> Path:
        """What the server and its start have to say."""
        return self.home / "server.log"

    @property
    def password(self) -> str:
        """The role's password, readable by the user who made the cluster only."""
        return _read(self.home / "password")

    @property
    def port(self) -> int:
        """The port it was last started on; it stays unless something else has taken it."""
        return int(_read(self.home / "port"))

    @property
    def has_port(self) -> bool:
        """False until the first start."""
        return (self.home / "port").exists()

    def remember_port(self, port: int) -> None:
        """Replace the port in one step, since other processes read it without the lock."""
        fresh = self.home / "port.new"
        fresh.write_text(str(port))
        fresh.replace(self.home / "port")

    def url(self, database: str = DATABASE) -> str:
        """Return the address, password included; made of characters that need no quoting."""
        return f"postgres://{ROLE}:{self.password}@127.0.0.1:{self.port}/{database}"


def var_dir() -> Path:
    """Return the directory of all that the project writes while it runs: AFORO_VAR or var/."""
    return Path(os.environ.get("AFORO_VAR") or PROJECT / "var").absolute()


def clusters(var: Path) -> Path:
    """Return the directory that has the cluster and its lock."""
    return var / "pg"


def find(var: Path) -> Cluster | None:
    """Find the cluster that was made earlier; reads only.

    Raises:
        Unavailable: there are two, or it belongs to another checkout.
    """
    entries = [p for p in clusters(var).glob("*") if p.name.isdigit()]
    if not entries:
        return None
    if len(entries) > 1:
        names = ", ".join(sorted(p.name for p in entries))
        raise Unavailable(
            f"{clusters(var)} holds several clusters ({names}): move all but one away."
        )
    entry = entries[0]
    home = entry.resolve()
    if entry.is_symlink() and home.parent != _outside_path(var):
        raise Unavailable(
            f"{entry} leads to the database of another checkout ({home}): this one was moved or "
            "copied. Move it back, or remove the link to begin with an empty database."
        )
    if not (home / "data").is_dir():
        raise Unavailable(
            f"The embedded database {home} is gone or incomplete. Put it back, or remove {entry} "
            "to begin with an empty one."
        )
    return Cluster(home, int(entry.name))


@contextmanager
def locked(var: Path) -> Iterator[None]:
    """Lock making, starting and stopping; the kernel frees the lock when its holder dies."""
    try:
        clusters(var).mkdir(parents=True, exist_ok=True)
        handle = (clusters(var) / "lock").open("w")
    except PermissionError as error:
        raise Unavailable(
            f"{clusters(var)} is not writable for this user: set AFORO_VAR to a directory that is."
        ) from error
    with handle:
        flock(handle, LOCK_EX)
        yield


def outside(var: Path) -> Path:
    """Find or create this checkout's directory outside of it, which every user can enter.

    Raises:
        Unavailable: the name is taken by somebody else; such a directory is not trusted.
    """
    path = _outside_path(var)
    path.mkdir(mode=0o755, exist_ok=True)
    found = path.lstat()
    if path.is_symlink() or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise Unavailable(f"{path} was not made by this user: remove it, or set AFORO_VAR.")
    path.chmod(0o755)
    return path


def _outside_path(var: Path) -> Path:
    digest = hashlib.sha256(str(var.resolve()).encode()).hexdigest()[:12]
    return _shared_directory() / f"aforo-{digest}"


def _shared_directory() -> Path:
    """Prefer the temporary directory that outlives a reboot."""
    lasting = Path("/var/tmp")  # noqa: S108
    return lasting if lasting.is_dir() else Path(tempfile.gettempdir())


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except PermissionError as error:
        raise Unavailable(
            f"{path} belongs to another user: run this as that user, or set AFORO_VAR to a "
            "directory of your own."
        ) from error
