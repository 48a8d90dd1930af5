"""Making, starting, asking and stopping the one cluster.

Everything but `answers` runs under the lock of `places.locked`.
"""

from __future__ import annotations

import secrets
import shlex
import shutil
import socket
import time
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from aforo.devdb import places
from aforo.devdb.accounts import ServerAccount
from aforo.devdb.binaries import Binaries
from aforo.devdb.errors import Unavailable
from aforo.devdb.places import DATABASE, ROLE, Cluster

SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "300",
    # One transaction may touch many tables and partitions, and tests make whole schemas at once.
    "max_locks_per_transaction": "256",
    "shared_buffers": "256MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # The start is judged by what the log says, so it has to speak English.
    "lc_messages": "C",
}
# Only for throw-away clusters: survives a killed server, not a killed machine.
FAST_SETTINGS: Final = {"fsync": "off", "full_page_writes": "off"}
# Set on the role, so that they also hold behind a pooler in transaction mode. A caller who queues
# for a Book longer than 5 s is better told to retry; a statement of 2 minutes is a mistake here,
# where migrations and the longest reports take seconds.
ROLE_SETTINGS: Final = {"lock_timeout": "5s", "statement_timeout": "120s"}

# Long enough for a crash recovery.
WAIT_SECONDS: Final = "60"
# A killed server lingers: its process until it is reaped, its children until they notice.
LINGERING_SECONDS: Final = 10
PORT_TAKEN: Final = "could not create any TCP/IP sockets"
PASSING: Final = ('"postmaster.pid" already exists', "shared memory block", PORT_TAKEN)
# The operating system cuts socket paths at 107 bytes (104 on macOS).
SOCKET_PATH_LONGEST: Final = 100


def answers(cluster: Cluster, database: str = DATABASE) -> bool:
    """Return whether this very cluster runs, and not a copy on the same port, found out by
    connecting.
    """
    try:
        with psycopg.connect(cluster.url(database), connect_timeout=5) as connection:
            row = connection.execute("SELECT current_setting('data_directory')").fetchone()
    except psycopg.OperationalError:
        return False
    return row is not None and Path(row[0]) == cluster.data


def make(var: Path, binaries: Binaries, account: ServerAccount) -> Cluster:
    """Initialise an empty cluster; it appears under its name when it is whole, or not at all."""
    entry = places.clusters(var) / str(binaries.major)
    place = entry.parent if account.can_enter(entry.parent) else places.outside(var)
    home = place / entry.name
    if home.exists():
        # Left by a checkout that was deleted: whose data they are is not for the launcher to say.
        home.rename(home.with_name(f"{home.name}.left-{time.time_ns()}"))
    unfinished = home.with_name(f"{home.name}.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    _initialise(Cluster(unfinished, binaries.major), binaries, account)
    unfinished.rename(home)
    if home != entry:
        entry.symlink_to(home)
    return Cluster(home.resolve(), binaries.major)


def start(cluster: Cluster, binaries: Binaries, account: ServerAccount, *, fast: bool) -> None:
    """Start the server and wait until it has recovered and takes connections.

    Raises:
        Unavailable: it does not start; the message carries the end of its log.
    """
    if not cluster.has_port:
        _take_port(cluster)
    patient_until = time.monotonic() + LINGERING_SECONDS
    while said := _try_start(cluster, binaries, account, fast=fast):
        # It may run without its database: a launcher can be killed between making the two.
        if answers(cluster, "postgres"):
            break
        if time.monotonic() > patient_until or not any(sign in said for sign in PASSING):
            raise Unavailable(f"PostgreSQL did not start ({cluster.log}):\n{said.strip()[-2000:]}")
        # A live server of this cluster is noticed before its port is, so this is somebody else's.
        if PORT_TAKEN in said:
            _take_port(cluster)
        time.sleep(0.2)
    _prepare(cluster)


def stop(cluster: Cluster, binaries: Binaries, account: ServerAccount) -> None:
    """Disconnect everybody and shut down cleanly."""
    pg_ctl, wait = binaries.program("pg_ctl"), ("-w", "-t", WAIT_SECONDS)
    done = account.run(pg_ctl, "stop", "-D", cluster.data, "-m", "fast", *wait)
    if done.returncode != 0:
        raise Unavailable(f"PostgreSQL did not stop ({cluster.log}):\n{done.stdout.strip()}")


def _initialise(cluster: Cluster, binaries: Binaries, account: ServerAccount) -> None:
    cluster.home.mkdir()
    # Everybody may enter; data, log and password have permissions of their own.
    cluster.home.chmod(0o755)
    cluster.data.mkdir(mode=0o700)
    cluster.log.touch(mode=0o600)
    password = cluster.home / "password"
    password.touch(mode=0o600)
    password.write_text(secrets.token_urlsafe(24))
    for path in (cluster.data, cluster.log, password):
        account.own(path)
    locale = ["--locale=C.UTF-8"]
    if binaries.major >= 17:  # The provider that sorts alike on every machine came with 17.
        locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    access = ("-U", ROLE, "-A", "scram-sha-256", "--pwfile", password)
    initdb = binaries.program("initdb")
    done = account.run(initdb, "-D", cluster.data, "-E", "UTF8", *access, *locale)
    if done.returncode != 0:
        raise Unavailable(f"initdb failed:\n{done.stdout.strip()}")
    if account.switch:
        shutil.chown(password, user=0, group=0)


def _try_start(cluster: Cluster, binaries: Binaries, account: ServerAccount, *, fast: bool) -> str:
    """Start once; return None on success, else what the server logged this time."""
    settings = SETTINGS | {"port": str(cluster.port), "unix_socket_directories": ""}
    if len(f"{cluster.data}/.s.PGSQL.65535.lock") <= SOCKET_PATH_LONGEST:
        settings["unix_socket_directories"] = str(cluster.data)
    if fast:
        settings |= FAST_SETTINGS
    options = " ".join(f"-c {name}={shlex.quote(value)}" for name, value in settings.items())
    said_before = cluster.log.stat().st_size
    pg_ctl, wait = binaries.program("pg_ctl"), ("-w", "-t", WAIT_SECONDS)
    done = account.run(pg_ctl, "start", "-D", cluster.data, "-l", cluster.log, "-o", options, *wait)
    if done.returncode == 0:
        return ""
    with cluster.log.open("rb") as log:
        log.seek(said_before)
        return done.stdout + log.read().decode(errors="replace")


def _take_port(cluster: Cluster) -> None:
    """Remember a free port, before the start: a launcher may be killed right after it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        cluster.remember_port(probe.getsockname()[1])


def _prepare(cluster: Cluster) -> None:
    """Set the role's limits and make the database, on every start: the last may have been cut."""
    with psycopg.connect(cluster.url("postgres"), autocommit=True) as connection:
        for name, value in ROLE_SETTINGS.items():
            connection.execute(
                sql.SQL("ALTER ROLE {} SET {} = {}").format(
                    sql.Identifier(ROLE), sql.Identifier(name), sql.Literal(value)
                )
            )
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
        if known.fetchone() is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
