"""`manage.py import_rates`: what other currencies are worth, day by day, from a CSV file."""

from __future__ import annotations

import csv
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from aforo.errors import DomainError, Invalid
from ledger import exchange_rates
from ledger.exchange_rates import DayRate
from ledger.models import ApprovalRequest


class Command(BaseCommand):
    help = (
        "Record exchange rates from a CSV file with the columns day, currency, rate: units of"
        " ENTITY_CURRENCY for one. All of them or none; what is recorded already is left."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("file", type=Path)
        parser.add_argument("--source", required=True, help="Who published them.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Read the file and record its rates."""
        try:
            with options["file"].open(newline="", encoding="utf-8") as file:
                rates = [_read(row) for row in csv.DictReader(file)]
        except OSError as error:
            raise CommandError(f"{options['file']}: {error.strerror}") from error
        try:
            new = exchange_rates.ask_to_record(rates, source=options["source"], now=timezone.now())
        except Invalid as error:
            first = error.errors[0]
            raise CommandError(f"{first.pointer}: {first.detail}") from error
        except DomainError as error:
            raise CommandError(error.detail) from error
        if isinstance(new, ApprovalRequest):
            self.stdout.write(f"Nothing recorded yet: it waits for approval as {new.pk}.")
            return
        self.stdout.write(f"{new} new of {len(rates)} rates.")


def _read(row: dict[str, str]) -> DayRate:
    try:
        return DayRate(
            row["currency"].strip().upper(),
            date.fromisoformat(row["day"].strip()),
            Decimal(row["rate"].strip()),
        )
    except (KeyError, AttributeError, ValueError, InvalidOperation) as error:
        raise CommandError(f"No rate, with day, currency and rate: {row}.") from error
