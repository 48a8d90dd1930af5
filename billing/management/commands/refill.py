"""`manage.py refill`: refill the wallets that are low and have an automatic refill."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.isolation import Failure
from billing.jobs import due_work
from billing.management.failures import report
from ledger.entries import books as ledger_books
from wallets.top_ups import refill


class Command(BaseCommand):
    help = "Fill the wallets that are low and fill themselves. Safe to repeat."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--customer", help="The id of one customer; all of them without it.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Refill the low wallets and print how many refills were begun."""
        key, failures = options["customer"], list[Failure]()
        if key is None:
            begun, failures = due_work.refill()
        else:
            found = [ledger_books.find_books(livemode=mode, keys=[key]) for mode in (True, False)]
            books = [books[key].pk for books in found if books]
            if not books:
                raise CommandError(f"There is no customer {key}.")
            begun = refill.refill_if_low(books)
        self.stdout.write(f"{begun} refills begun")
        report(self.stderr, failures)
