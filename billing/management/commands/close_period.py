"""`manage.py close_period YYYY-MM`: close a month of the live books."""

from __future__ import annotations

import argparse
import getpass
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from aforo.errors import DomainError
from billing.finance import closing


def month(text: str) -> date:
    """Parse YYYY-MM."""
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} is no month, YYYY-MM") from error


class Command(BaseCommand):
    help = (
        "Close a month: sweep, burn and accrue up to its end, tie the books out, lock it, freeze "
        "its pack. Refused while a cycle is unsettled or anything differs; safe to repeat."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("month", type=month, help="YYYY-MM")
        parser.add_argument(
            "--by",
            default="",
            help="Who closes, a user of the back office; default: the operating system's user.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Close the month and list the pack."""
        try:
            pack = closing.close_period(
                month=options["month"],
                by=options["by"] or getpass.getuser(),
                now=timezone.now(),
                clock=timezone.now,
            )
        except DomainError as error:
            raise CommandError(error.detail) from error
        for file in pack.files.order_by("name"):
            self.stdout.write(f"{file.sha256}  {file.name}")
        self.stdout.write(f"{options['month']:%Y-%m} is closed, pack {pack.number}")
