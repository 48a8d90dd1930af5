"""`manage.py run_campaign`: grant an EVERYBODY campaign's credits to everybody who matches."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from aforo.errors import DomainError
from billing.campaigns import campaign_runs
from billing.models import RunStatus


class Command(BaseCommand):
    help = "Give an EVERYBODY campaign to everybody who matches; safe to repeat and to kill."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        parser.add_argument("code", help="The campaign's code.")
        parser.add_argument("--mode", choices=["live", "sandbox"], default="live")

    def handle(self, *args: Any, **options: Any) -> None:
        """Execute the run here and print its result."""
        try:
            run = campaign_runs.run_everybody(
                livemode=options["mode"] == "live",
                code=options["code"],
                clock=timezone.now,
                progress=lambda done, total: self.stderr.write(f"{done} of {total} customers"),
            )
        except DomainError as error:
            raise CommandError(error.detail) from error
        self.stdout.write(
            f"{run.done} of {run.total} customers, {run.granted} granted, {run.skipped} skipped"
        )
        if run.status != RunStatus.DONE:
            raise CommandError("Not finished: another process is at it, or others are at work.")
