"""`manage.py backtest`: a version of a plan against settled cycles, with the rows as CSV."""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from aforo import money
from aforo.errors import DomainError
from billing.management.arguments import moment
from billing.models import Backtest, RunStatus
from billing.simulation import backtest
from pricing.plans import plans


class Command(BaseCommand):
    help = "Price a version against the usage of settled cycles, beside what was really billed."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Allow --version for a plan's version; Django's own is printed by `manage.py version`."""
        return super().create_parser(prog_name, subcommand, conflict_handler="resolve", **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("plan", nargs="?", help="The code of the rate plan.")
        parser.add_argument("--version", dest="number", type=int,
                            help="Draft or published; else the latest.")  # fmt: skip
        parser.add_argument("--offering", help="Only the customers of this offering.")
        parser.add_argument("--customer", action="append", default=[], help="Only this customer.")
        parser.add_argument("--from", dest="starts_at", type=moment,
                            help="Cycles that end after this,")  # fmt: skip
        parser.add_argument("--to", dest="ends_at", type=moment,
                            help="and no later than this.")  # fmt: skip
        parser.add_argument("--with-credits", action="store_true",
                            help="Let money credits pay too, as they stood then.")  # fmt: skip
        parser.add_argument("--mode", choices=["live", "sandbox"], default="live")
        parser.add_argument("--out", type=Path, help="Write every cycle to this CSV file.")
        parser.add_argument("--resume", type=UUID, help="Go on with a backtest that was killed.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Start or resume a backtest, execute it here, print its result."""
        try:
            asked = self._asked(options)
        except DomainError as error:
            raise CommandError(error.detail) from error
        console = Console(file=sys.stderr)
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("Pricing customers", total=None)
            done = backtest.execute(
                backtest_id=asked.pk,
                clock=timezone.now,
                progress=lambda far: bar.update(task, total=far.due, completed=far.done),
            )
        if done.status != RunStatus.DONE:
            raise CommandError(f"The backtest {done.pk} is under way elsewhere.")
        if options["out"] is not None:
            with options["out"].open("w", newline="") as file:
                file.writelines(backtest.csv_lines(done))
        paper = Console(width=100, highlight=False)
        with paper.capture() as shown:
            _show(paper, done)
        self.stdout.write(shown.get())

    def _asked(self, options: dict[str, Any]) -> Backtest:
        """Return the backtest of the options, created or to be resumed.

        Raises: DomainError, CommandError.
        """
        livemode = options["mode"] == "live"
        if options["resume"] is not None:
            return backtest.get_backtest(livemode=livemode, backtest_id=options["resume"])
        missing = [name for name in ("plan", "starts_at", "ends_at") if options[name] is None]
        if missing:
            raise CommandError("Give the plan, --from and --to, or --resume.")
        version = plans.get_version(
            livemode=livemode, code=options["plan"], number=options["number"]
        )
        return backtest.start(
            version=version,
            starts_at=options["starts_at"],
            ends_at=options["ends_at"],
            offering=options["offering"],
            customers=options["customer"],
            with_credits=options["with_credits"],
        )


def _show(console: Console, done: Backtest) -> None:
    """Print the months, the winners and losers, and the distribution of the changes."""
    currency, found = done.version.plan.currency, done.summary
    console.print(f"{done.version}, {currency}, before money credits")
    months = Table(box=box.SIMPLE_HEAD)
    for title in ("Month", "Cycles", "Paid", "Would pay", "Difference", "%"):
        months.add_column(title, justify="left" if title == "Month" else "right")
    for row in [*found["months"], {**found, "month": "Total"}]:
        months.add_row(
            row["month"], str(row["cycles"]), *(_amount(row[k], currency) for k in _SIDES),
            "" if row["percent"] is None else _amount(row["percent"], currency),
        )  # fmt: skip
    console.print(months)
    console.print(
        f"{found['customers']} customers: {found['winners']} pay less, {found['losers']} pay more, "
        f"{found['unchanged']} the same; {found['failed']} cycles could not be priced."
    )
    spread = Table(box=box.SIMPLE_HEAD)
    for title in ("Change", "Customers", "Difference"):
        spread.add_column(title, justify="left" if title == "Change" else "right")
    for group in found["distribution"]:
        spread.add_row(_range(group), str(group["customers"]), _amount(group["delta"], currency))
    console.print(spread)
    console.print(f"Backtest {done.pk}", soft_wrap=True)


_SIDES = ("paid", "priced", "delta")


def _amount(text: str, currency: str) -> str:
    return f"{money.round_amount(Decimal(text), currency):,}"


def _range(group: dict[str, Any]) -> str:
    if group["from"] is None:
        return f"under {group['under']} %"
    if group["under"] is None:
        return f"{group['from']} % and more"
    return f"{group['from']} to {group['under']} %"
