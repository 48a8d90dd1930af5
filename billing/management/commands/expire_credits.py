"""`manage.py expire_credits`: lapse what has expired."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from billing.jobs import due_work
from billing.management.arguments import moment
from billing.management.failures import report


class Command(BaseCommand):
    help = "Lapse the credits that have expired, each dated at its own moment. Safe to repeat."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--as-of", type=moment, help="Up to this moment; now without it.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Lapse the expired lots and print their number."""
        now = timezone.now()
        lapsed, failures = due_work.expire(until=min(options["as_of"] or now, now))
        self.stdout.write(f"{lapsed} lots lapsed")
        report(self.stderr, failures)
