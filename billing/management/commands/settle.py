"""`manage.py settle`: settle every cycle that is due."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from aforo.errors import DomainError
from billing.management.arguments import moment
from billing.services import due


class Command(BaseCommand):
    help = "Settle every cycle that is due, in both modes; safe to repeat and to kill."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--as-of", type=moment, help="Settle as at this moment (sandbox only).")
        parser.add_argument("--customer", help="Only this customer.")
        parser.add_argument("--mode", choices=["live", "sandbox", "all"], default="all")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run one settlement run a mode."""
        as_of: datetime | None = options["as_of"]
        modes = {"live": [True], "sandbox": [False], "all": [True, False]}[options["mode"]]
        if as_of is not None and as_of > timezone.now():
            modes = [mode for mode in modes if not mode]
        failed, found = 0, False
        for livemode in modes:
            try:
                run = due.settle(
                    livemode=livemode,
                    as_of=as_of,
                    customer_id=options["customer"],
                    clock=timezone.now,
                )
            except DomainError as error:
                if error.code == "unknown_customer" and livemode != modes[-1]:
                    continue
                if error.code == "unknown_customer" and found:
                    continue
                raise CommandError(error.detail) from error
            found = True
            failed += run.failed
            name = "live" if livemode else "sandbox"
            self.stdout.write(
                f"{name}: {run.settled} cycles settled for {run.due} customers, {run.failed} failed"
            )
            for failure in run.failures:
                self.stderr.write(f"  {failure['customer_id']}: {failure['reason']}")
        if failed:
            raise CommandError(f"{failed} customers failed.")
