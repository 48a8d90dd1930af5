"""`manage.py create_api_key`: issue a key, printed alone on stdout."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from aforo.access import services
from aforo.errors import DomainError


class Command(BaseCommand):
    help = "Issue an API key; it is printed once, alone on stdout."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--mode", choices=["live", "sandbox"], required=True)
        parser.add_argument("--name", required=True)
        parser.add_argument("--scopes", default="", help="Comma-separated; all without it.")
        parser.add_argument("--customer", default="", help="The one customer that it acts for.")
        parser.add_argument("--networks", default="", help="Where from: 203.0.113.0/24, ...")
        parser.add_argument("--requests-per-minute", type=int)
        parser.add_argument("--days", type=int, help="How many days it lives; for ever without it.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Issue the key."""
        days = options["days"]
        if days is not None and not 1 <= days <= 36_500:
            raise CommandError("--days is 1 to 36500.")
        rate = options["requests_per_minute"]
        if rate is not None and rate < 1:
            raise CommandError("--requests-per-minute is 1 or more.")
        try:
            _, secret = services.create_api_key(
                livemode=options["mode"] == "live",
                name=options["name"],
                scopes=_named(options["scopes"]),
                customer_id=options["customer"],
                networks=_named(options["networks"]),
                requests_per_minute=rate,
                expires_at=None if days is None else timezone.now() + timedelta(days=days),
            )
        except DomainError as error:
            raise CommandError(error.detail) from error
        self.stdout.write(secret)


def _named(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]
