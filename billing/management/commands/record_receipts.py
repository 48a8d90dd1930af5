"""`manage.py record_receipts`: record the ids that the accounting system has for a batch."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from aforo.errors import DomainError, Invalid
from ledger.exports import receipts
from ledger.models import ExportFormat


class Command(BaseCommand):
    help = (
        "Write back to a batch the ids that the accounting system gave: of the whole import (--id),"
        " or of journals (FILE: CSV lines of journal_id,target_id). Repeating changes nothing; an"
        " id that contradicts one that is kept is refused, with the whole file."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        names = [name.lower() for name in ExportFormat.values]
        parser.add_argument("--format", choices=names, required=True)
        parser.add_argument("--batch", type=int, required=True, help="Its number.")
        parser.add_argument("--mode", choices=["live", "sandbox"], default="live")
        given = parser.add_mutually_exclusive_group(required=True)
        given.add_argument("--id", help="Their id of the whole import.")
        given.add_argument("file", nargs="?", type=Path, help="Their ids of its journals.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Read and record the ids, and print how many were new."""
        try:
            batch = receipts.find_batch(
                livemode=options["mode"] == "live",
                form=options["format"].upper(),
                number=options["batch"],
            )
            given = _receipts(options)
            new = receipts.record(batch, given, now=timezone.now(), by=getpass.getuser())
        except Invalid as error:
            raise CommandError(error.errors[0].detail) from error
        except DomainError as error:
            raise CommandError(error.detail) from error
        self.stdout.write(f"{batch}: {new} new, {len(given) - new} known")


def _receipts(options: dict[str, Any]) -> list[receipts.Receipt]:
    path: Path | None = options["file"]
    if path is None:
        return [receipts.of_import(options["id"])]
    try:
        return receipts.read(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{path}: is not UTF-8") from error
