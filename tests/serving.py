"""The project served by processes of its own, on the database of the tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from aforo.devdb import places
from tests import database


class Served(str):
    """The address of served processes, without a slash at the end, and the first one's pid."""

    pid: int

    __slots__ = ("pid",)

    def __new__(cls, url: str, pid: int) -> Served:
        """Join the two."""
        made = super().__new__(cls, url)
        made.pid = pid
        return made


@contextmanager
def serve(*, workers: int = 2, threads: int = 25) -> Iterator[Served]:
    """Run `manage.py serve` on a free port and give its address.

    The test has to commit what the served processes shall see (`transactional_db`).
    """
    command = [sys.executable, "manage.py", "serve", "--port", "0"]
    command += ["--workers", str(workers), "--threads", str(threads)]
    process = subprocess.Popen(
        command,
        cwd=places.PROJECT,
        env=os.environ | {"DATABASE_URL": test_database_url()},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        announced = process.stdout.readline()
        assert announced.startswith("Serving at "), "the server did not start; see its errors"
        yield Served(announced.removeprefix("Serving at ").strip(), process.pid)
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_database_url() -> str:
    """Return the address of the tests' database, for a process of its own."""
    return database.url(connection.settings_dict["NAME"])
