"""`devdb start|stop|status|url|psql`: the embedded database by hand."""

from __future__ import annotations

import os
import subprocess
from typing import Any
from urllib.parse import urlsplit

from django.core.management.base import BaseCommand, CommandError, CommandParser

from aforo import devdb

# As `pg_ctl status` answers for a server that is not running.
NOT_RUNNING = 3


class Command(BaseCommand):
    help = (
        "Start, stop or look at the embedded PostgreSQL that is used while DATABASE_URL is unset."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the one argument, the action."""
        parser.add_argument("action", choices=["start", "stop", "status", "url", "psql"])

    def handle(self, *, action: str, **_options: Any) -> None:
        """Run the action; what goes wrong becomes one message."""
        try:
            getattr(self, f"_{action}")()
        except devdb.Unavailable as error:
            raise CommandError(str(error)) from error

    def _start(self) -> None:
        if os.environ.get("DATABASE_URL"):
            raise CommandError("DATABASE_URL is set, so nothing is started.")
        devdb.ensure()
        self.stdout.write(devdb.status().description)

    def _stop(self) -> None:
        self.stdout.write("stopped" if devdb.stop() else "was not running")

    def _status(self) -> None:
        found = devdb.status()
        if not found.running:
            raise CommandError(found.description, returncode=NOT_RUNNING)
        self.stdout.write(found.description)

    def _url(self) -> None:
        self.stdout.write(self._address())

    def _psql(self) -> None:
        program = devdb.psql_program()
        if program is None:
            raise CommandError("psql was not found: install postgresql-client.")
        devdb.ensure()
        address = urlsplit(self._address())
        # The password goes through the environment: command lines are visible to every user.
        environment = os.environ | {"PGPASSWORD": address.password or ""}
        open_address = address._replace(netloc=address.netloc.rpartition("@")[2])
        user = ["-U", address.username] if address.username else []
        done = subprocess.run(  # noqa: S603
            [program, *user, "-d", open_address.geturl()], check=False, env=environment
        )
        if done.returncode != 0:
            raise CommandError("psql ended with an error.", returncode=done.returncode)

    def _address(self) -> str:
        return os.environ.get("DATABASE_URL") or devdb.status().url or devdb.ensure()
