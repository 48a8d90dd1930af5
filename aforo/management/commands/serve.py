"""`serve`: the API and the admin behind gunicorn."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError

from aforo.serving import database_schema, server


class Command(BaseCommand):
    help = "Serve the API and the admin; loopback only unless --host says otherwise."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare address and size."""
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
        parser.add_argument("--workers", type=int, default=server.WORKERS, help="processes")
        parser.add_argument("--threads", type=int, default=server.THREADS, help="per process")

    def handle(self, *, host: str, port: int, workers: int, threads: int, **_options: Any) -> None:
        """Serve, unless the database has not this version's tables."""
        try:
            found = database_schema.faults()
        except OperationalError as error:
            raise CommandError(f"The database does not answer: {error}") from error
        if found:
            raise CommandError(database_schema.sentence(found))
        server.run(host=host, port=port, workers=workers, threads=threads)
