"""`manage.py export_journal`: the new entries of a month, as a file for the general ledger."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from aforo.errors import DomainError
from billing.finance import reports
from ledger.exports import batches
from ledger.models import ExportBatch, ExportFormat
from wallets.reports import lots


class Command(BaseCommand):
    help = (
        "Export what has been posted in a month and is in no earlier batch of the format. With"
        " nothing new, the month's last batch is written again, byte by byte, so repeating is safe."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        names = [name.lower() for name in ExportFormat.values]
        parser.add_argument("--format", choices=names, required=True)
        parser.add_argument("--period", required=True, help="A month, YYYY-MM.")
        parser.add_argument("--out", type=Path, required=True, help="With FILE.json beside it.")
        parser.add_argument("--mode", choices=["live", "sandbox"], default="live")
        parser.add_argument("--batch", type=int, help="Write this batch again, make none.")
        parser.add_argument(
            "--clearing",
            default="",
            help="Leave receivables and cash out, which stand net on this GL account.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Create or find a batch, and write its files."""
        try:
            batch = self._batch(options)
            self._write(batch, options["out"])
        except DomainError as error:
            raise CommandError(error.detail) from error
        except OSError as error:
            raise CommandError(f"{options['out']}: {error.strerror}") from error

    def _batch(self, options: dict[str, Any]) -> ExportBatch:
        starts_on, ends_on = reports.read_month(options["period"])
        wanted = batches.ExportRequest(
            livemode=options["mode"] == "live",
            format=options["format"].upper(),
            starts_on=starts_on,
            ends_on=ends_on,
            clearing=options["clearing"],
        )
        if options["batch"] is not None:
            return batches.get_batch(wanted, number=options["batch"])
        try:
            return batches.export(
                wanted, now=timezone.now(), by=getpass.getuser(), lots_of=lots.facts_of
            )
        except batches.NothingToExport:
            last = batches.latest_batch(wanted)
            if last is None:
                raise
            self.stderr.write("Nothing new; the last batch is written again.")
            return last

    def _write(self, batch: ExportBatch, out: Path) -> None:
        files = list(batches.files(batch))
        for number, (_, content) in enumerate(files, start=1):
            name = out if len(files) == 1 else out.with_name(f"{out.stem}-{number}{out.suffix}")
            _write_file(name, content)
        facts = json.dumps(batches.sidecar(batch), indent=2, ensure_ascii=False)
        out.with_name(f"{out.name}.json").write_text(f"{facts}\n", encoding="utf-8")
        self.stdout.write(
            f"{batch}: {batch.entries} entries, {batch.journals} journals, {batch.rows} lines in"
            f" {len(files)} file{'s' if len(files) > 1 else ''}, sha256 {batch.sha256}"
        )


def _write_file(path: Path, content: Iterator[bytes]) -> None:
    with path.open("wb") as file:
        for piece in content:
            file.write(piece)
