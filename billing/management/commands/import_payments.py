"""`manage.py import_payments`: take the payments of a bank's file and match them to invoices."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from billing.invoicing import payment_files
from ledger.models import ApprovalRequest

SHOWN_NOTES = 100


class Command(BaseCommand):
    help = (
        "Take the payments of a file (CSV: "
        f"{','.join(payment_files.REQUIRED + payment_files.OPTIONAL)}; or camt.053) and match them "
        "to open invoices. Each payment is taken once, so repeating a file changes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("file", type=Path)
        parser.add_argument("--dry-run", action="store_true", help="Show what would be matched.")
        parser.add_argument("--mode", choices=["live", "sandbox"], default="live")

    def handle(self, *args: Any, **options: Any) -> None:
        """Import the file, and print what was not matched and the count of everything."""
        path: Path = options["file"]
        try:
            content = path.read_bytes()
            with transaction.atomic() if options["dry_run"] else nullcontext():
                take = (
                    payment_files.import_file if options["dry_run"] else payment_files.ask_to_import
                )
                done = take(livemode=options["mode"] == "live", content=content, now=timezone.now())
                if options["dry_run"]:
                    transaction.set_rollback(True)
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}") from error
        except payment_files.UnreadablePayments as error:
            raise CommandError(f"{path}: {error.detail}") from error
        if isinstance(done, ApprovalRequest):
            self.stdout.write(f"nothing taken yet: the file waits for approval as {done.pk}")
            return
        for note in done.notes[:SHOWN_NOTES]:
            self.stderr.write(note)
        if (more := len(done.notes) - SHOWN_NOTES) > 0:
            self.stderr.write(f"and {more} more")
        self.stdout.write(f"dry run: {done}" if options["dry_run"] else str(done))
