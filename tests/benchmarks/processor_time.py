"""Processor time of processes, from /proc: other than a rate, it hardly depends on what else the
machine does.
"""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.db import connection


def seconds(pid: int) -> float:
    """Return the processor time of a process so far; 0 for one that has ended."""
    fields = _fields(pid)
    return _of(fields, own=True) if fields else 0.0


def seconds_of_family(pid: int) -> float:
    """Return the processor time so far of a process and of its children, ended ones included."""
    fields = _fields(pid)
    if not fields:
        return 0.0
    return _of(fields, own=True) + _of(fields, own=False) + sum(map(seconds, children(pid)))


def children(pid: int) -> list[int]:
    """Return the processes that a process has started and that still run."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(child) for child in task.read_text().split()]
    return found


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds of processor time: of whoever serves or drives the database, and of the database."""

    caller: float
    database: float

    def __sub__(self, earlier: Spent) -> Spent:
        return Spent(self.caller - earlier.caller, self.database - earlier.database)


def spent(serving: int | None) -> Spent:
    """Read the clocks: of the family of a server, or of the programs that this process has run."""
    if serving is None:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return Spent(used.ru_utime + used.ru_stime, seconds_of_family(_postmaster()))
    return Spent(seconds_of_family(serving), seconds_of_family(_postmaster()))


def _postmaster() -> int:
    """Return the process that has started our connection's; skip where it is another machine's."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (backend,) = cursor.fetchone()
    fields = _fields(backend)
    if not fields:
        pytest.skip("PostgreSQL runs elsewhere, so that its processor time cannot be read")
    return int(fields[1])


def _fields(pid: int) -> list[str]:
    """Read what follows the name in a process's line, from its state on (man 5 proc)."""
    if not Path("/proc/self/stat").exists():
        pytest.skip("this system has no /proc to read processor time from")
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _of(fields: list[str], *, own: bool) -> float:
    """Add user and system time, of the process or of its ended children."""
    at = 11 if own else 13
    return (int(fields[at]) + int(fields[at + 1])) / os.sysconf("SC_CLK_TCK")
