"""`manage.py verify_ledger`: verify the books, or report the first bad row."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import Progress

from aforo.errors import DomainError
from billing.finance import verification


class Command(BaseCommand):
    help = "Prove chains, lots, movements and liability accounts; exit 1 with the first bad row."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--customer", help="Only this customer's books, in both modes.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Verify the books and print how much was verified."""
        console = Console(file=sys.stderr)
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("Verifying entries", total=None)
            try:
                found = verification.verify(
                    customer_id=options["customer"],
                    progress=lambda done, total: bar.update(task, completed=done, total=total),
                )
            except DomainError as error:
                raise CommandError(error.detail) from error
        for note in found.notes:
            self.stdout.write(f"note: {note}")
        if found.first_bad is not None:
            raise CommandError(f"{found.first_bad.entry}: {found.first_bad.reason}")
        self.stdout.write(
            f"ok: {found.books} books, {found.entries} entries, {found.lots} lots, "
            f"{found.burns} burns of cycles, {found.documents} documents, {found.seals} seals, "
            f"{found.months} closed months prove themselves"
        )
