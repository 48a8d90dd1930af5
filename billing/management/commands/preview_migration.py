"""`manage.py preview_migration`: preview a change of plan for every subscription of an offering."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from django.core.management.base import BaseCommand, CommandError, CommandParser

from aforo.errors import DomainError
from aforo.money import plain
from billing.simulation import plan_change, plan_change_rows
from pricing.offerings import offerings

COLUMNS = ["customer_id", "subscription", "from_version", "closing_total", "opening_total", "added",
           "carried", "refused"]  # fmt: skip
CHUNK = 200


class Writable(Protocol):
    def write(self, text: str, /) -> object:
        """Write a piece of text."""


class Command(BaseCommand):
    help = "Preview moving every subscription of an offering; writes nothing but the CSV file."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("offering")
        parser.add_argument("--to-offering", help="Where to; with --to-version, at that version.")
        parser.add_argument("--to-version", type=int, help="A version of the plan, draft or not.")
        parser.add_argument("--mode", choices=["live", "sandbox"], default="live")
        parser.add_argument("--out", type=Path, help="CSV file; else the rows go to stdout.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write one row a subscription, in bounded memory, and the counts."""
        livemode = options["mode"] == "live"
        try:
            offering = offerings.get_offering(livemode=livemode, code=options["offering"])
            target = plan_change.target_from(
                livemode=livemode,
                offering=offering,
                to_offering=options["to_offering"],
                to_version=options["to_version"],
            )
        except DomainError as error:
            raise CommandError(error.detail) from error
        found = plan_change.movable(livemode=livemode, offering=offering)
        rows = (plan_change_rows.row(each, target) for each in found.iterator(chunk_size=CHUNK))
        if options["out"] is None:
            counts = self._write(self.stdout, rows)
        else:
            with options["out"].open("w", newline="") as file:
                counts = self._write(file, rows)
        refused = sum(counts.values()) - counts["moves"]
        self.stderr.write(f"{counts['moves']} would move, {refused} would not.")
        for code, count in sorted((counts - Counter(moves=counts["moves"])).items()):
            self.stderr.write(f"  {code}: {count}")

    def _write(self, file: Writable, rows: Iterable[Mapping[str, Any]]) -> Counter[str]:
        """Write the rows as they come; return how many move, and how many do not, by reason."""
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        counts: Counter[str] = Counter()
        for row in rows:
            refused = row["refused"]
            counts["moves" if refused is None else refused["code"]] += 1
            named = {"customer_id": row["customer_id"], "subscription": row["subscription"],
                     "from_version": row["from"]["version"]}  # fmt: skip
            figures = {"refused": refused["code"]} if refused else _figures(row)
            writer.writerow(named | figures)
        return counts


def _figures(row: Mapping[str, Any]) -> dict[str, object]:
    added = [f"{plain(a['quantity'])} {a.get('metric') or a['currency']}" for a in row["added"]]
    return {
        "closing_total": row["closing"]["total"],
        "opening_total": row["opening"]["total"],
        "added": "; ".join(added),
        "carried": row["carried"],
    }
