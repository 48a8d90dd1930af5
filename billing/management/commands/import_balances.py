"""`manage.py import_balances`: import the lots of a wallet system that is being replaced."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from aforo import money
from aforo.errors import DomainError
from aforo.money import ZERO
from billing.management.arguments import moment
from ledger.models import ApprovalRequest
from wallets.grants import opening_balances
from wallets.grants.opening_balances import OpeningBalance

COLUMNS = [
    "customer_id", "kind", "currency", "metric", "quantity", "carrying", "expires_at", "priority",
    "external_id",
]  # fmt: skip
SHOWN_FAULTS = 20


def expected(text: str) -> tuple[str, Decimal]:
    """Parse CURRENCY=AMOUNT, a total of the old report."""
    currency, _, amount = text.partition("=")
    try:
        return currency, Decimal(amount)
    except InvalidOperation as error:
        raise argparse.ArgumentTypeError(f"{text} is not CURRENCY=AMOUNT") from error


class Command(BaseCommand):
    help = (
        f"Bring over opening balances (CSV: {','.join(COLUMNS)}). Checked whole before anything is "
        "written; safe to repeat by external_id."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--dry-run", action="store_true", help="Check and total, write nothing."
        )
        parser.add_argument(
            "--expect",
            type=expected,
            action="append",
            default=[],
            help="CURRENCY=CARRYING of the old report; refused where the file differs.",
        )
        parser.add_argument("--mode", choices=["live", "sandbox"], default="live")
        parser.add_argument("--at", type=moment, help="When they take effect; now without it.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check the file, tie it to the old report, import it customer by customer."""
        livemode, now = options["mode"] == "live", timezone.now()
        at: datetime = min(options["at"] or now, now)
        path: Path = options["file"]
        had = self._check(path, livemode=livemode, at=at)
        self._tie(path, dict(options["expect"]))
        if options["dry_run"]:
            self.stdout.write(f"dry run: nothing written; {had} lots were brought over before")
            return
        done = opening_balances.ask_to_import(
            lambda: _read(path), livemode=livemode, at=at, now=now
        )
        if isinstance(done, ApprovalRequest):
            self.stdout.write(f"nothing written yet: it waits for approval as {done.pk}")
            return
        self.stdout.write(f"{done} lots brought over, {had} were there before")

    def _check(self, path: Path, *, livemode: bool, at: datetime) -> int:
        """Check every line before any is written; return how many were imported before."""
        had, faults, seen = 0, list[str](), set[str]()
        try:
            for number, balance in enumerate(_read(path), start=2):
                try:
                    had += opening_balances.check_opening(balance, livemode=livemode, at=at)
                except DomainError as error:
                    details = "; ".join(fault.detail for fault in error.errors) or error.detail
                    faults.append(f"line {number}: {details}")
                if balance.cause in seen:
                    faults.append(f"line {number}: {balance.external_id} stands there twice")
                seen.add(balance.cause)
        except (OSError, ValueError) as error:
            raise CommandError(str(error)) from error
        for fault in faults[:SHOWN_FAULTS]:
            self.stderr.write(fault)
        if faults:
            raise CommandError(f"{len(faults)} faults; nothing was written.")
        return had

    def _tie(self, path: Path, report: dict[str, Decimal]) -> None:
        """Print the totals, and compare them with those of the old report."""
        by_currency: dict[str, Decimal] = {}
        for (kind, unit), (quantity, carrying) in sorted(
            opening_balances.totals(_read(path)).items()
        ):
            self.stdout.write(
                f"{kind} {unit}: quantity {money.plain(quantity)}, carrying {money.plain(carrying)}"
            )
        for balance in _read(path):
            before = by_currency.get(balance.currency, ZERO)
            by_currency[balance.currency] = before + balance.carrying
        for currency, amount in report.items():
            here = by_currency.get(currency, ZERO)
            if here != amount:
                raise CommandError(
                    f"{currency}: the file carries {money.plain(here)}, the old report says "
                    f"{money.plain(amount)}; nothing was written."
                )


def _read(path: Path) -> Iterator[OpeningBalance]:
    """Read the file line by line. Raises: ValueError with the line."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or [])]
        if missing:
            raise ValueError(f"{path}: the column {missing[0]} is missing.")
        for number, row in enumerate(reader, start=2):
            try:
                yield _balance(row)
            except (ArithmeticError, ValueError, TypeError, AttributeError) as error:
                raise ValueError(f"{path}, line {number}: it cannot be read.") from error


def _balance(row: dict[str, str]) -> OpeningBalance:
    return OpeningBalance(
        customer_id=row["customer_id"].strip(),
        kind=row["kind"].strip(),
        quantity=Decimal(row["quantity"].strip()),
        carrying=Decimal(row["carrying"].strip() or "0"),
        external_id=row["external_id"].strip(),
        currency=row["currency"].strip(),
        metric=row["metric"].strip() or None,
        expires_at=_moment(row["expires_at"].strip()),
        priority=int(row["priority"].strip() or "100"),
    )


def _moment(text: str) -> datetime | None:
    """Parse a moment. Raises: ValueError, so that the caller reports the line."""
    try:
        return moment(text) if text else None
    except argparse.ArgumentTypeError as error:
        raise ValueError(text) from error
