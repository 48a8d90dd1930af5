"""`manage.py report NAME`: a report of the books as a table, CSV, XLSX or JSON."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from rich.console import Console

from aforo.database.snapshot import snapshot
from aforo.errors import DomainError
from billing.finance import reports
from billing.management.arguments import day, moment
from ledger.reports import writing
from ledger.reports.report_table import Header, Report

WRITERS = {"csv": writing.write_csv, "xlsx": writing.write_xlsx, "json": writing.write_json}

WIDE = 240


class Command(BaseCommand):
    help = "Run a report. Without a period or a day: this month to date."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("name", nargs="?", help=f"One of {', '.join(reports.NAMES)}.")
        parser.add_argument("--period", help="A month, YYYY-MM.")
        parser.add_argument("--as-of", type=day, help="The month up to this day, YYYY-MM-DD.")
        parser.add_argument(
            "--recorded-until", type=moment, help="The books as they stood at this moment."
        )
        parser.add_argument("--mode", choices=["live", "sandbox"], default="live")
        parser.add_argument("--currency", help="Only this currency.")
        parser.add_argument("--customer", help="Only this customer.")
        parser.add_argument("--format", choices=["table", *WRITERS], default="table")
        parser.add_argument("--out", type=Path, help="Write here, the header to FILE.json beside.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the report, or list them all."""
        if options["name"] is None:
            for offered in reports.CATALOGUE:
                self.stdout.write(f"{offered.name:22} {offered.says}")
            return
        now = timezone.now()
        try:
            self._run(options, now)
        except DomainError as error:
            raise CommandError(error.detail) from error
        except OSError as error:
            raise CommandError(f"{options['out']}: {error.strerror}") from error

    def _run(self, options: dict[str, Any], now: datetime) -> None:
        offered = reports.find(options["name"])
        scope = reports.scope_of(
            livemode=options["mode"] == "live",
            now=now,
            period=options["period"],
            as_of=options["as_of"],
            recorded_until=options["recorded_until"],
            currency=options["currency"],
            customer_id=options["customer"],
        )
        with snapshot():
            report = offered.make(scope)
            if options["format"] == "table":
                self._print(report, options["out"], now)
            else:
                self._write(report, options["format"], options["out"], now)

    def _print(self, report: Report, out: Path | None, now: datetime) -> None:
        if out is None:
            # Into a pipe, a width that no column has to give way to.
            console = Console(width=None if sys.stdout.isatty() else WIDE)
            with console.capture() as captured:
                writing.print_table(report, console, run_at=now)
            self.stdout.write(captured.get())
            return
        with out.open("w", encoding="utf-8") as file:
            writing.print_table(report, Console(file=file, width=WIDE), run_at=now)

    def _write(self, report: Report, chosen: str, out: Path | None, now: datetime) -> None:
        write = WRITERS[chosen]
        if out is None:
            if chosen == "xlsx":
                raise CommandError("Say where to write the workbook: --out FILE.")
            header = write(report, sys.stdout.buffer, run_at=now)
            sys.stdout.flush()
            self._tell(header)
            return
        with out.open("wb") as file:
            header = write(report, file, run_at=now)
        beside = out.with_name(f"{out.name}.json")
        facts = writing.header_facts(header)
        beside.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        self._tell(header)

    def _tell(self, header: Header) -> None:
        run_at = header.run_at.astimezone(UTC)
        self.stderr.write(f"{header.rows} rows at {run_at:%Y-%m-%d %H:%M}Z, {header.sha256}")
