"""Who runs the server.

PostgreSQL refuses to run as root, so root lends its children to another user that exists already;
no user is made and no permission of a foreign directory is changed.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aforo.devdb.errors import Unavailable

# Tried in this order when root makes a cluster.
STAND_INS: Final = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class ServerAccount:
    """A user of the machine; `switch` tells whether children have to change to it."""

    name: str
    uid: int
    gid: int
    switch: bool

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command to its end in a bare environment; its output and errors come as one text.

        Raises:
            PermissionError: this user cannot reach the program.
        """
        return subprocess.run(  # noqa: S603
            [str(part) for part in command],
            check=False,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # Settings such as PGDATA or LD_LIBRARY_PATH must not lead to another server, and the
            # caller's directory may be one that this user cannot enter.
            env={"PATH": os.defpath, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC"},
            cwd="/",
            umask=0o077,
            user=self.uid if self.switch else None,
            group=self.gid if self.switch else None,
            extra_groups=[] if self.switch else None,
        )

    def can_enter(self, directory: Path) -> bool:
        """Return whether the user can enter, by trying: access lists and parents count."""
        return self.run("test", "-x", directory).returncode == 0

    def own(self, path: Path) -> None:
        """Change the owner of a file or directory that the launcher has just made."""
        if self.switch:
            os.chown(path, self.uid, self.gid)


def for_new_cluster() -> ServerAccount:
    """Choose the owner of a cluster that is about to be made."""
    if os.geteuid() != 0:
        return _account(os.geteuid())
    for name in STAND_INS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return ServerAccount(name, entry.pw_uid, entry.pw_gid, switch=True)
    raise Unavailable(
        "PostgreSQL does not run as root, and this machine has neither a user 'postgres' nor "
        "'nobody'. Run this as an ordinary user, or set DATABASE_URL."
    )


def owner_of(data: Path) -> ServerAccount:
    """Choose the owner of an existing data directory: PostgreSQL accepts no other user."""
    uid = data.stat().st_uid
    if os.geteuid() not in {0, uid}:
        raise Unavailable(
            f"{data} belongs to {_account(uid).name}: run this as that user, or set AFORO_VAR to "
            "a directory of your own."
        )
    return _account(uid)


def _account(uid: int) -> ServerAccount:
    switch = uid != os.geteuid()
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        # Containers may run under an id without a name.
        return ServerAccount(f"user {uid}", uid, os.getegid(), switch)
    return ServerAccount(entry.pw_name, uid, entry.pw_gid, switch)
