"""`manage.py seal`: seal the books now, or continue after the database was restored."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from aforo.errors import DomainError
from ledger.seals import seals


class Command(BaseCommand):
    help = "Seal the books of a mode now; after a restore, name the seals that it lost and go on."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--mode", choices=["live", "sandbox"], default="live")
        parser.add_argument(
            "--after-restore",
            action="store_true",
            help="Go on although copies of seals are there that the database has not got.",
        )
        parser.add_argument("--reason", default="", help="Why, for who proves the books later.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Seal the books and print the seal."""
        livemode, now = options["mode"] == "live", timezone.now()
        try:
            if options["after_restore"]:
                made = seals.seal_after_restore(
                    livemode=livemode, now=now, reason=options["reason"]
                )
            else:
                made = seals.seal(livemode=livemode, now=now)
        except DomainError as error:
            raise CommandError(error.detail) from error
        self.stdout.write(
            f"seal {made.number}: {made.books} books, {made.entries} entries, root {made.root}"
        )
        if made.lost:
            numbers = ", ".join(str(seal["number"]) for seal in made.lost)
            self.stdout.write(f"lost by the restore, and named in it: {numbers}")
