"""`manage.py ingest_usage`: ingest a file of metered events."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error
from django.utils import timezone
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from aforo.errors import DomainError
from billing.usage import files


class Command(BaseCommand):
    help = (
        "Take metered events from an NDJSON or CSV file of any size. Safe to kill and to repeat: "
        "it goes on where it stopped, and what is stored already is counted as a duplicate."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument("--mode", choices=["live", "sandbox"], default="live")
        parser.add_argument(
            "--format", choices=["ndjson", "csv"], help="By the file's name without it."
        )
        parser.add_argument(
            "--restart", action="store_true", help="Start at the beginning of the file again."
        )

    def handle(self, *, file: Path, mode: str, restart: bool, **options: Any) -> None:
        """Ingest the file; rejects are listed beside it."""
        console = Console(file=sys.stderr)
        columns = [
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TextColumn("{task.fields[events]} events"),
            TimeRemainingColumn(),
        ]
        try:
            size = file.stat().st_size
            with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
                task = bar.add_task(file.name, total=size, events=0)
                found = files.ingest_file(
                    path=file,
                    file_format=options["format"]
                    or ("csv" if file.suffix.lower() == ".csv" else "ndjson"),
                    livemode=mode == "live",
                    clock=timezone.now,
                    restart=restart,
                    progress=lambda at: bar.update(
                        task,
                        completed=at.offset,
                        events=f"{at.accepted + at.duplicates + at.failed:,}",
                    ),
                )
        except DomainError as error:
            raise CommandError(f"{file}: {error.detail}") from error
        except OSError as error:
            raise CommandError(str(error)) from error
        except Error as error:
            said = str(error).partition("\n")[0]
            raise CommandError(f"{file}: {said}. Repeat the command: it goes on.") from error
        self.stdout.write(
            f"{found.accepted} accepted, {found.duplicates} duplicates, {found.failed} rejected"
        )
        if found.failed:
            listed = files.rejects_path(file, livemode=mode == "live")
            raise CommandError(f"{found.failed} events were rejected: see {listed}")
