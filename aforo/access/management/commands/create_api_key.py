"""`manage.py create_api_key`: issue a key, printed alone on stdout."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from aforo.access import services
from aforo.errors import DomainError


class Command(BaseCommand):
    help = "Issue an API key; it is printed once, alone on stdout."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--mode", choices=["live", "sandbox"], required=True)
        parser.add_argument("--name", required=True)
        parser.add_argument("--scopes", default="", help="Comma-separated; all without it.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Issue the key."""
        scopes = [scope.strip() for scope in options["scopes"].split(",") if scope.strip()]
        try:
            _, secret = services.create_api_key(
                livemode=options["mode"] == "live", name=options["name"], scopes=scopes
            )
        except DomainError as error:
            raise CommandError(error.detail) from error
        self.stdout.write(secret)
