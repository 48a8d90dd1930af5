"""`manage.py settle`: settle every cycle that is due."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from aforo.errors import DomainError
from billing.cycle_end import runs
from billing.jobs import due_work
from billing.management.arguments import moment
from billing.management.failures import report
from billing.models import SettlementRun


class Command(BaseCommand):
    help = "Settle every cycle that is due, in both modes; safe to repeat and to kill."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--as-of", type=moment, help="Settle as at this moment (sandbox only).")
        parser.add_argument("--customer", help="Only this customer.")
        parser.add_argument("--mode", choices=["live", "sandbox", "all"], default="all")
        parser.add_argument(
            "--run", type=UUID, metavar="ID", help="Join a run that is under way, or was left."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run one settlement run a mode, or join one."""
        try:
            done = [self._join(options["run"])] if options["run"] else list(self._settle(options))
        except DomainError as error:
            raise CommandError(error.detail) from error
        for run in done:
            name = "live" if run.livemode else "sandbox"
            self.stdout.write(
                f"{name}: {run.settled} cycles settled for {run.due} customers, {run.failed} failed"
            )
        report(self.stderr, [failure for run in done for failure in runs.failures_of(run)])

    def _join(self, run_id: UUID) -> SettlementRun:
        if not SettlementRun.objects.filter(pk=run_id).exists():
            raise runs.UnknownRun(f"There is no run {run_id}.")
        with _bar() as show:
            return runs.execute(run_id=run_id, clock=timezone.now, progress=lambda: show(run_id))

    def _settle(self, options: dict[str, Any]) -> Iterator[SettlementRun]:
        as_of: datetime | None = options["as_of"]
        modes = {"live": [True], "sandbox": [False], "all": [True, False]}[options["mode"]]
        if as_of is not None and as_of > timezone.now():
            modes = [mode for mode in modes if not mode]
        unknown: DomainError | None = None
        found = False
        for livemode in modes:
            try:
                with _bar() as show:
                    yield due_work.settle(
                        livemode=livemode,
                        as_of=as_of,
                        customer_id=options["customer"],
                        clock=timezone.now,
                        progress=show,
                    )
                found = True
            except DomainError as error:
                # The customer may be one of the other mode.
                if error.code != "unknown_customer":
                    raise
                unknown = error
        if unknown is not None and not found:
            raise unknown


@contextmanager
def _bar() -> Iterator[Callable[[UUID], None]]:
    """Render a progress bar; yield the function that updates it, at most twice a second."""
    console = Console(file=sys.stderr)
    columns = [
        TextColumn("Settling"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
    ]  # fmt: skip
    counted_at = -1
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("", total=None)

        def show(run_id: UUID) -> None:
            nonlocal counted_at
            half_seconds = int(time.monotonic() * 2)
            if console.is_terminal and half_seconds != counted_at:
                counted_at = half_seconds
                done, total = runs.count(run_id)
                bar.update(task, completed=done, total=total)

        yield show
